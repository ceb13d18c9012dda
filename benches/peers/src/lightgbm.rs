//! LightGBM by its C API, one thread: the fast path for single rows, the ordinary one for batches.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

use crate::Error;
use crate::competitor::{Agreement, Competitor, Runner, Task};

/// In tables.
pub const NAME: &str = "LightGBM C";

// From c_api.h.
const FLOAT32: c_int = 0;
const PREDICT_NORMAL: c_int = 0;
const ROW_MAJOR: c_int = 1;
const ALL_ITERATIONS: c_int = -1;
const PARAMETERS: &CStr = c"num_threads=1 verbosity=-1";

type LastError = unsafe extern "C" fn() -> *const c_char;
type FromFile = unsafe extern "C" fn(*const c_char, *mut c_int, *mut *mut c_void) -> c_int;
type FastInit = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    c_int,
    c_int,
    c_int,
    i32,
    *const c_char,
    *mut *mut c_void,
) -> c_int;
type Fast = unsafe extern "C" fn(*mut c_void, *const c_void, *mut i64, *mut f64) -> c_int;
type ForMatrix = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    c_int,
    i32,
    i32,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    *mut i64,
    *mut f64,
) -> c_int;

/// LightGBM out of its shared library.
pub fn competitor(library: &Path) -> Result<Competitor, Error> {
    let functions = Functions::load(library)?;
    Ok(Competitor::new(
        NAME,
        "PredictForMatSingleRowFast, batches PredictForMat",
        Agreement::Near,
        move |task| Ok(Box::new(Boosters::new(functions, task)?)),
    ))
}

#[derive(Clone, Copy)]
struct Functions {
    last_error: LastError,
    from_file: FromFile,
    fast_init: FastInit,
    fast: Fast,
    for_matrix: ForMatrix,
}

impl Functions {
    fn load(path: &Path) -> Result<Functions, Error> {
        // SAFETY: the library is LightGBM's own, whose initialisers may run at any time. It is never unloaded.
        let library = Box::leak(Box::new(unsafe { Library::new(path)? }));
        // SAFETY: the signatures are those of c_api.h.
        unsafe {
            Ok(Functions {
                last_error: *library.get(b"LGBM_GetLastError\0")?,
                from_file: *library.get(b"LGBM_BoosterCreateFromModelfile\0")?,
                fast_init: *library.get(b"LGBM_BoosterPredictForMatSingleRowFastInit\0")?,
                fast: *library.get(b"LGBM_BoosterPredictForMatSingleRowFast\0")?,
                for_matrix: *library.get(b"LGBM_BoosterPredictForMat\0")?,
            })
        }
    }

    fn check(&self, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library gives a C string of its own.
        let message = unsafe { CStr::from_ptr((self.last_error)()) };
        Err(format!("LightGBM: {}", message.to_string_lossy()).into())
    }
}

/// A booster with its prepared single-row call. Freed with the process.
struct Loaded {
    handle: *mut c_void,
    fast: *mut c_void,
}

struct Boosters {
    functions: Functions,
    models: Vec<Loaded>,
    features: i32,
    batch: usize,
    outputs: Vec<f64>,
}

impl Boosters {
    fn new(functions: Functions, task: &Task<'_>) -> Result<Boosters, Error> {
        let features = i32::try_from(task.features)?;
        let load = |model: usize| -> Result<Loaded, Error> {
            let text = &task.suite.models[model].lightgbm;
            let path = CString::new(text.to_str().ok_or("a path that is not UTF-8")?)?;
            let (mut handle, mut fast, mut iterations) = (ptr::null_mut(), ptr::null_mut(), 0);
            // SAFETY: all pointers are valid for the calls.
            unsafe {
                functions.check((functions.from_file)(
                    path.as_ptr(),
                    &raw mut iterations,
                    &raw mut handle,
                ))?;
                functions.check((functions.fast_init)(
                    handle,
                    PREDICT_NORMAL,
                    0,
                    ALL_ITERATIONS,
                    FLOAT32,
                    features,
                    PARAMETERS.as_ptr(),
                    &raw mut fast,
                ))?;
            }
            Ok(Loaded { handle, fast })
        };
        let models = task.models().into_iter().map(load).collect::<Result<Vec<_>, Error>>()?;
        let outputs = vec![0.0; models.len() * task.batch];
        Ok(Boosters { functions, models, features, batch: task.batch, outputs })
    }
}

impl Runner for Boosters {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        let functions = &self.functions;
        let (data, count) = (rows.as_ptr().cast::<c_void>(), i32::try_from(self.batch)?);
        for (booster, outputs) in self.models.iter().zip(self.outputs.chunks_exact_mut(self.batch)) {
            let (mut length, out) = (0_i64, outputs.as_mut_ptr());
            // SAFETY: `rows` holds batch x features floats, `outputs` has room for one output a row.
            functions.check(unsafe {
                if count == 1 {
                    (functions.fast)(booster.fast, data, &raw mut length, out)
                } else {
                    (functions.for_matrix)(
                        booster.handle,
                        data,
                        FLOAT32,
                        count,
                        self.features,
                        ROW_MAJOR,
                        PREDICT_NORMAL,
                        0,
                        ALL_ITERATIONS,
                        PARAMETERS.as_ptr(),
                        &raw mut length,
                        out,
                    )
                }
            })?;
        }
        Ok(())
    }

    fn output(&self, row: usize, model: usize) -> f64 {
        self.outputs[model * self.batch + row]
    }
}
