//! What the numbers were measured on.

use std::fs;

use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Host {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) architecture: &'static str,
    pub(super) os: String,
    pub(super) version: &'static str,
    pub(super) optimised: bool,
}

pub(super) fn describe() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Host {
        cpu: cpu_model(&read("/proc/cpuinfo"), &read("/proc/device-tree/model")),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        architecture: std::env::consts::ARCH,
        os: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
    }
}

/// The processor's name; on ARM boards, where /proc/cpuinfo has none, the board's.
fn cpu_model(cpuinfo: &str, board: &str) -> String {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    let board = board.trim_matches(['\0', ' ', '\n']);
    field("model name")
        .or_else(|| (!board.is_empty()).then(|| board.to_owned()))
        .or_else(|| field("Hardware"))
        .or_else(|| field("CPU part").map(|part| format!("ARM part {part}")))
        .unwrap_or_else(|| "unknown processor".to_owned())
}

/// Resident memory of this process in bytes, where the system says so.
pub(super) fn resident_bytes() -> Option<f64> {
    resident_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named_on_both_architectures() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3GHz\n", ""), "Some CPU @ 3GHz");
        let arm = "processor\t: 0\nCPU part\t: 0xd08\n";
        assert_eq!(cpu_model(arm, "Raspberry Pi 4 Model B\0"), "Raspberry Pi 4 Model B");
        assert_eq!(cpu_model(arm, ""), "ARM part 0xd08");
        assert_eq!(cpu_model("", ""), "unknown processor");
    }

    #[test]
    fn resident_memory_is_read() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    1500 kB\n"), Some(1_536_000.0));
        assert_eq!(resident_of(""), None);
    }
}
