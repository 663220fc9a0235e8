//! Compiles every `bpf/NAME.bpf.c` with clang into `NAME.bpf.o`, for the library to embed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Where the few kernel declarations are that all programs share.
const SHARED: &str = "../dataplane/xsk/bpf";

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-changed={SHARED}/kernel.h");
    println!("cargo:rerun-if-env-changed=CLANG");
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for entry in fs::read_dir("bpf").expect("the directory of the programs") {
        let source = entry.expect("an entry of it").path();
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".c").filter(|name| name.ends_with(".bpf")) {
            compile(&source, &output.join(format!("{name}.o")));
        }
    }
}

fn compile(source: &Path, object: &Path) {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb",
        _ => "bpfel",
    };
    let result = Command::new(&clang)
        .args(["-O2", "-g", "-target", target, "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-I", SHARED])
        .args(["-ffile-prefix-map=bpf/=", "-o"])
        .arg(object)
        .arg("-c")
        .arg(source)
        .status();
    match result {
        Ok(status) if status.success() => {}
        Ok(status) => {
            eprintln!(
                "error: `{clang}` could not compile {} ({status}); clang 12 or newer is needed",
                source.display()
            );
            exit(1);
        }
        Err(error) => {
            eprintln!(
                "error: `{clang}` could not be run ({error}). It compiles the XDP programs: install the package \
                 `clang` (Debian, Ubuntu: apt-get install clang), or set CLANG to its path."
            );
            exit(1);
        }
    }
}
