//! ONNX Runtime by its C API: one thread, sequential, all graph optimisations.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::rc::Rc;

use libloading::Library;
use ort_sys::{
    ExecutionMode, GraphOptimizationLevel, ONNXTensorElementDataType, ORT_API_VERSION, OrtAllocatorType,
    OrtApi, OrtApiBase, OrtEnv, OrtIoBinding, OrtLoggingLevel, OrtMemType, OrtMemoryInfo, OrtSession,
    OrtStatusPtr, OrtValue,
};

use crate::Error;
use crate::competitor::{Agreement, Competitor, Runner, Task};

/// In tables: a fresh value over the caller's rows for each call, outputs allocated by the runtime.
pub const RUN: &str = "ORT C Run";
/// In tables: input and output buffers bound once.
pub const BOUND: &str = "ORT C IoBinding";

/// `Run` on the caller's rows.
pub fn plain(library: &Path) -> Result<Competitor, Error> {
    let runtime = Rc::new(Runtime::load(library)?);
    Ok(Competitor::new(RUN, "CreateTensorWithDataAsOrtValue and Run", Agreement::Exact, move |task| {
        Ok(Box::new(Plain::new(&runtime, task)?))
    }))
}

/// `RunWithBinding` on buffers of its own.
pub fn bound(library: &Path) -> Result<Competitor, Error> {
    let runtime = Rc::new(Runtime::load(library)?);
    Ok(Competitor::new(BOUND, "RunWithBinding on preallocated buffers", Agreement::Exact, move |task| {
        Ok(Box::new(Bound::new(&runtime, task)?))
    }))
}

/// The function table and what all sessions share; lives as long as the process.
struct Runtime {
    api: &'static OrtApi,
    environment: *mut OrtEnv,
    memory: *mut OrtMemoryInfo,
}

impl Runtime {
    fn load(path: &Path) -> Result<Runtime, Error> {
        // SAFETY: the library is ONNX Runtime's own, whose initialisers may run at any time.
        let library = Box::leak(Box::new(unsafe { Library::new(path)? }));
        // SAFETY: the signature is that of onnxruntime_c_api.h.
        let base =
            unsafe { library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0")? };
        // SAFETY: the base is a constant of the library; a version it does not know gives null.
        let api = unsafe { ((*base()).GetApi)(ORT_API_VERSION).as_ref() };
        let api = api.ok_or_else(|| format!("{}: no API {ORT_API_VERSION}", path.display()))?;
        let mut runtime = Runtime { api, environment: ptr::null_mut(), memory: ptr::null_mut() };
        let (mut environment, mut memory) = (ptr::null_mut(), ptr::null_mut());
        let (arena, kind) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
        // SAFETY: out pointers are valid, the name is a C string.
        unsafe {
            let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR;
            runtime.check((api.CreateEnv)(level, c"peers".as_ptr(), &raw mut environment))?;
            runtime.check((api.CreateCpuMemoryInfo)(arena, kind, &raw mut memory))?;
        }
        (runtime.environment, runtime.memory) = (environment, memory);
        Ok(runtime)
    }

    fn check(&self, status: OrtStatusPtr) -> Result<(), Error> {
        if status.0.is_null() {
            return Ok(());
        }
        // SAFETY: a status that is not null is valid until it is released, here.
        let message = unsafe {
            let message = CStr::from_ptr((self.api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
            (self.api.ReleaseStatus)(status.0);
            message
        };
        Err(format!("ONNX Runtime: {message}").into())
    }

    /// A value over memory of the caller's, which must outlive it.
    fn value(&self, data: *const f32, shape: [i64; 2]) -> Result<*mut OrtValue, Error> {
        let mut value = ptr::null_mut();
        let bytes = usize::try_from(shape[0] * shape[1])? * size_of::<f32>();
        let float = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        // SAFETY: the caller gives as many floats as the shape says; ONNX Runtime does not write to inputs.
        self.check(unsafe {
            let data = data.cast_mut().cast::<c_void>();
            let create = self.api.CreateTensorWithDataAsOrtValue;
            create(self.memory, data, bytes, shape.as_ptr(), shape.len(), float, &raw mut value)
        })?;
        Ok(value)
    }
}

/// A model loaded by ONNX Runtime.
struct Session {
    runtime: Rc<Runtime>,
    handle: *mut OrtSession,
    input: CString,
    output: CString,
}

impl Session {
    fn new(runtime: &Rc<Runtime>, onnx: &Path) -> Result<Session, Error> {
        let api = runtime.api;
        let mut options = ptr::null_mut();
        let mut session = ptr::null_mut();
        let path = CString::new(onnx.to_str().ok_or("a path that is not UTF-8")?)?;
        // SAFETY: all pointers are valid for the calls; the options are copied by CreateSession.
        unsafe {
            runtime.check((api.CreateSessionOptions)(&raw mut options))?;
            runtime.check((api.SetIntraOpNumThreads)(options, 1))?;
            runtime.check((api.SetInterOpNumThreads)(options, 1))?;
            runtime.check((api.SetSessionExecutionMode)(options, ExecutionMode::ORT_SEQUENTIAL))?;
            let all = GraphOptimizationLevel::ORT_ENABLE_ALL;
            runtime.check((api.SetSessionGraphOptimizationLevel)(options, all))?;
            runtime.check((api.CreateSession)(
                runtime.environment,
                path.as_ptr(),
                options,
                &raw mut session,
            ))?;
            (api.ReleaseSessionOptions)(options);
        }
        let (input, output) = (Self::name(runtime, session, true)?, Self::name(runtime, session, false)?);
        Ok(Session { runtime: Rc::clone(runtime), handle: session, input, output })
    }

    fn name(runtime: &Runtime, session: *mut OrtSession, input: bool) -> Result<CString, Error> {
        let (mut allocator, mut name) = (ptr::null_mut(), ptr::null_mut::<c_char>());
        let get = if input { runtime.api.SessionGetInputName } else { runtime.api.SessionGetOutputName };
        // SAFETY: the session is live and has an input and an output; the name is copied before it is freed.
        unsafe {
            runtime.check((runtime.api.GetAllocatorWithDefaultOptions)(&raw mut allocator))?;
            runtime.check(get(session, 0, allocator, &raw mut name))?;
            let copy = CStr::from_ptr(name).to_owned();
            runtime.check((runtime.api.AllocatorFree)(allocator, name.cast()))?;
            Ok(copy)
        }
    }

    /// Runs on `input`; the runtime allocates the output.
    fn run(&self, input: *const OrtValue, outputs: &mut [f32]) -> Result<(), Error> {
        let Session { runtime, handle, .. } = self;
        let (input_name, output_name) = (self.input.as_ptr(), self.output.as_ptr());
        let (mut value, mut data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: session, names and input are live; the output holds one float a row, as the models were checked
        // to do by cooltwin at load, and is copied before it is released.
        unsafe {
            let (names, values) = (&raw const input_name, &raw const input);
            let run = runtime.api.Run;
            let status =
                run(*handle, ptr::null(), names, values, 1, &raw const output_name, 1, &raw mut value);
            runtime.check(status)?;
            runtime.check((runtime.api.GetTensorMutableData)(value, &raw mut data))?;
            ptr::copy_nonoverlapping(data.cast::<f32>(), outputs.as_mut_ptr(), outputs.len());
            (runtime.api.ReleaseValue)(value);
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: nothing uses the session after its owner is gone.
        unsafe { (self.runtime.api.ReleaseSession)(self.handle) }
    }
}

fn sessions(runtime: &Rc<Runtime>, task: &Task<'_>) -> Result<Vec<Session>, Error> {
    task.models().into_iter().map(|model| Session::new(runtime, &task.suite.models[model].onnx)).collect()
}

fn shape_of(task: &Task<'_>) -> Result<[i64; 2], Error> {
    Ok([i64::try_from(task.batch)?, i64::try_from(task.features)?])
}

/// One input value a call, shared by the models.
struct Plain {
    sessions: Vec<Session>,
    shape: [i64; 2],
    batch: usize,
    outputs: Vec<f32>,
}

impl Plain {
    fn new(runtime: &Rc<Runtime>, task: &Task<'_>) -> Result<Plain, Error> {
        let sessions = sessions(runtime, task)?;
        let outputs = vec![0.0; sessions.len() * task.batch];
        Ok(Plain { sessions, shape: shape_of(task)?, batch: task.batch, outputs })
    }
}

impl Runner for Plain {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        let runtime = &self.sessions[0].runtime;
        let input = runtime.value(rows.as_ptr(), self.shape)?;
        for (session, outputs) in self.sessions.iter().zip(self.outputs.chunks_exact_mut(self.batch)) {
            session.run(input, outputs)?;
        }
        // SAFETY: the value was made above and no run holds on to it.
        unsafe { (runtime.api.ReleaseValue)(input) };
        Ok(())
    }

    fn output(&self, row: usize, model: usize) -> f64 {
        f64::from(self.outputs[model * self.batch + row])
    }
}

/// Buffers bound once; rows are copied into them.
struct Bound {
    bindings: Vec<Binding>,
    input: Vec<f32>,
    outputs: Vec<f32>,
    batch: usize,
}

impl Bound {
    fn new(runtime: &Rc<Runtime>, task: &Task<'_>) -> Result<Bound, Error> {
        let sessions = sessions(runtime, task)?;
        let input = vec![0.0; task.batch * task.features];
        let mut outputs = vec![0.0; task.batch * sessions.len()];
        let both = sessions.into_iter().zip(outputs.chunks_exact_mut(task.batch));
        let bindings = both
            .map(|(session, output)| {
                Binding::new(session, input.as_ptr(), shape_of(task)?, output.as_mut_ptr())
            })
            .collect::<Result<_, Error>>()?;
        Ok(Bound { bindings, input, outputs, batch: task.batch })
    }
}

impl Runner for Bound {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        self.input.copy_from_slice(rows);
        for Binding { session, handle, .. } in &self.bindings {
            let runtime = &session.runtime;
            // SAFETY: session and binding are live, and so are the buffers of `self` that they refer to.
            runtime.check(unsafe { (runtime.api.RunWithBinding)(session.handle, ptr::null(), *handle) })?;
        }
        Ok(())
    }

    fn output(&self, row: usize, model: usize) -> f64 {
        // SAFETY: in bounds of the buffer, which the runtime has written behind the compiler's back.
        f64::from(unsafe { self.outputs.as_ptr().add(model * self.batch + row).read_volatile() })
    }
}

/// One session with its bound values.
struct Binding {
    session: Session,
    handle: *mut OrtIoBinding,
    values: [*mut OrtValue; 2],
}

impl Binding {
    /// Both buffers must outlive the binding.
    fn new(session: Session, input: *const f32, shape: [i64; 2], output: *mut f32) -> Result<Binding, Error> {
        let runtime = &session.runtime;
        let values = [runtime.value(input, shape)?, runtime.value(output, [shape[0], 1])?];
        let mut binding = ptr::null_mut();
        // SAFETY: session, names and values are live.
        unsafe {
            runtime.check((runtime.api.CreateIoBinding)(session.handle, &raw mut binding))?;
            runtime.check((runtime.api.BindInput)(binding, session.input.as_ptr(), values[0]))?;
            runtime.check((runtime.api.BindOutput)(binding, session.output.as_ptr(), values[1]))?;
        }
        Ok(Binding { session, handle: binding, values })
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        let api = self.session.runtime.api;
        // SAFETY: released once, the binding before its values, the session last, by its own drop.
        unsafe {
            (api.ReleaseIoBinding)(self.handle);
            self.values.into_iter().for_each(|value| (api.ReleaseValue)(value));
        }
    }
}
