//! Compiles the XDP program with clang into the object that `steering.rs` embeds.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

fn main() {
    for file in ["bpf/steering.bpf.c", "bpf/underlay.h", "bpf/kernel.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let object = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("steering.bpf.o");
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb",
        _ => "bpfel",
    };
    let result = Command::new(&clang)
        .args(["-O2", "-g", "-target", target, "-mcpu=v3", "-Wall", "-Wextra", "-Werror"])
        .args(["-ffile-prefix-map=bpf/=", "-c", "bpf/steering.bpf.c", "-o"])
        .arg(&object)
        .status();
    match result {
        Ok(status) if status.success() => {}
        Ok(status) => {
            eprintln!(
                "error: `{clang}` could not compile bpf/steering.bpf.c ({status}); clang 12 or newer is needed"
            );
            exit(1);
        }
        Err(error) => {
            eprintln!(
                "error: `{clang}` could not be run ({error}). It compiles the XDP program: install the package \
                 `clang` (Debian, Ubuntu: apt-get install clang), or set CLANG to its path."
            );
            exit(1);
        }
    }
}
