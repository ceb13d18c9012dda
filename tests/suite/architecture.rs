//! The direction of imports, the purity of the pure layers, the size of files.

use std::path::{Path, PathBuf};

/// Layers, leftmost first; a layer may import itself and what stands left of it.
const ORDER: [&str; 10] =
    ["domain", "simulator", "inference", "bundle", "monitor", "engine", "folder", "daemon", "http", "cli"];
/// Layers that know no clock, file, socket, thread or runtime.
const PURE: [&str; 6] = ["domain", "simulator", "inference", "bundle", "monitor", "engine"];
/// Words that give an impure layer away.
const IMPURE: [&str; 14] = [
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "tokio::",
    "rumqttc",
    "sd_notify",
    "println!",
    "thread_local!",
    "Zoned::now",
];
/// Longest source file in lines.
const MAX_LINES: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "the sources were not found");
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect()
}

fn layer_of(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without comments: prose may speak of anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

#[test]
fn imports_point_leftward() {
    let rank = |layer: &str| ORDER.iter().position(|known| *known == layer);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let layer = layer_of(&path);
        let Some(own) = rank(&layer) else {
            assert!(layer == "lib" || layer == "main", "{}: unknown layer", path.display());
            continue;
        };
        for (line, code) in code(&text) {
            for (position, _) in code.match_indices("crate::") {
                let rest = &code[position + "crate::".len()..];
                let word = |text: &str| {
                    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
                };
                let imported: Vec<String> = match rest.strip_prefix('{') {
                    Some(list) => list.split(',').map(word).collect(),
                    None => vec![word(rest)],
                };
                for name in imported {
                    let allowed = rank(&name).is_none_or(|other| other <= own);
                    let simulator_import =
                        name == "simulator" && PURE.contains(&layer.as_str()) && layer != "simulator";
                    if !allowed || simulator_import {
                        wrong.push(format!("src/{}:{line}: {layer} imports {name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_layers_know_no_outside() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !PURE.contains(&layer_of(&path).as_str()) {
            continue;
        }
        for (line, code) in code(&text) {
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("src/{}:{line}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("src/{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// The files that translate an instruction set; their portable twin and all that uses them are safe.
#[test]
fn unsafe_code_stays_in_the_kernel() {
    let allowed = |path: &Path| {
        ["avx2.rs", "avx512.rs", "neon.rs"]
            .iter()
            .any(|name| path == Path::new("inference/kernel/quickscorer").join(name))
    };
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| !allowed(path))
        .flat_map(|(path, text)| {
            let lines: Vec<usize> = code(&text)
                .filter(|(_, code)| code.split_whitespace().any(|word| word == "unsafe"))
                .map(|(line, _)| line)
                .collect();
            lines.into_iter().map(move |line| format!("src/{}:{line}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
