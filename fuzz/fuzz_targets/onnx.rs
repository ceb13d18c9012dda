//! Any bytes as an ONNX model: refused with an error or loaded and run; never a crash, never a panic that escapes.
//!
//! Half of the changes are made to the decoded model, so that operators are reached and not only the decoder.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cooltwin::inference::{Model, Path};
use cooltwin_fuzz::build::FEATURES;
use cooltwin_fuzz::mutate::Mutator;
use cooltwin_fuzz::seeds::models;
use cooltwin_fuzz::watchdog;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prost::Message;

static MUTATOR: LazyLock<Mutator> = LazyLock::new(Mutator::new);

/// Rows at which comparisons and arithmetic go wrong, if they do.
const ROWS: [[f32; FEATURES]; 3] = [
    [0.5, -1.0, f32::NAN, 1e30],
    [f32::NEG_INFINITY, f32::INFINITY, -0.0, 1e-45],
    [f32::NAN, f32::NAN, f32::NAN, f32::NAN],
];

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("COOLTWIN_SEEDS") {
            write_seeds(std::path::Path::new(&folder));
        }
        watchdog::start();
        // The library catches tract's panics and reports them: those are no findings. The hook that libFuzzer's
        // bindings set would abort on them; one that escapes still aborts, in the bindings' own catch_unwind.
        let show = std::env::var_os("SHOW_PANICS").is_some();
        std::panic::set_hook(Box::new(move |panic| if show { eprintln!("{panic}") }));
    },
    |bytes: &[u8]| {
        watchdog::next_input();
        if let Ok(mut model) = Model::from_onnx("fuzz.onnx", bytes, FEATURES) {
            run(&mut model);
        }
    }
);

/// Predicts each row, then all of them at once; a tree ensemble must give the same bits.
fn run(model: &mut Model) {
    let outputs = model.n_outputs();
    let mut single = vec![0.0_f32; outputs * ROWS.len()];
    let mut batch = vec![0.0_f32; outputs * ROWS.len()];
    let one = ROWS.iter().zip(single.chunks_mut(outputs)).all(|(row, out)| model.predict(row, out).is_ok());
    let all = model.predict_batch(ROWS.as_flattened(), &mut batch).is_ok();
    if one && all && matches!(model.describe().path, Path::Kernel) {
        let same =
            single.iter().zip(&batch).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
        if !same {
            eprintln!("rows one by one give {single:?}, together {batch:?}");
            std::process::abort();
        }
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2)
        && let Some(changed) = MUTATOR.mutate(&data[..size], seed.into())
        && changed.len() <= max_size
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    fuzzer_mutate(data, size, max_size)
});

fn write(path: &std::path::Path, bytes: &[u8]) {
    if let Err(error) = std::fs::write(path, bytes) {
        eprintln!("{}: {error}", path.display());
        std::process::exit(1);
    }
}

/// Writes the models to start from and, beside the folder, a dictionary of the names in them; says which load; ends
/// the process.
fn write_seeds(folder: &std::path::Path) -> ! {
    let mut loaded = 0;
    let mut words = BTreeSet::new();
    let seeds = models();
    for (at, model) in seeds.iter().enumerate() {
        let bytes = model.encode_to_vec();
        let operators: Vec<&str> =
            model.graph.iter().flat_map(|g| &g.node).map(|n| n.op_type.as_str()).collect();
        let name = format!("seed-{at:03}-{}", operators.join("-"));
        for node in model.graph.iter().flat_map(|g| &g.node) {
            words.insert(node.op_type.clone());
            words.extend(node.attribute.iter().map(|a| a.name.clone()));
        }
        match Model::from_onnx(&name, &bytes, FEATURES) {
            Ok(_) => loaded += 1,
            Err(error) => eprintln!("{}", error.to_string().chars().take(150).collect::<String>()),
        }
        write(&folder.join(&name), &bytes);
    }
    let words: String = words.iter().map(|word| format!("\"{word}\"\n")).collect();
    write(&folder.with_extension("dict"), words.as_bytes());
    eprintln!("{} models to start from, {loaded} of which load", seeds.len());
    std::process::exit(0)
}
