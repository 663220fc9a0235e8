//! Finds the programs under test, and sees to it that they are built from the sources as they are now.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::process::Finished;

/// The repository.
#[must_use]
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The directory of the built programs. The first call runs `cargo build`, which does nothing when they are up to date.
#[must_use]
pub fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // A test runs from TARGET/PROFILE/deps/.
        let test = env::current_exe().expect("the path of the test program");
        let profile = test.ancestors().nth(2).expect("a test program lies in target/PROFILE/deps");
        let target = profile.parent().expect("a profile lies in target");
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(repository());
        build
            .args(["build", "--quiet", "--package=dataplane", "--package=vtep-ctl", "--target-dir"])
            .arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let _ = Finished::of(&mut build).output();
        profile.to_owned()
    })
}

/// The daemon.
#[must_use]
pub fn vtepd() -> PathBuf {
    directory().join("vtepd")
}

/// The control client.
#[must_use]
pub fn vtep_ctl() -> PathBuf {
    directory().join("vtep-ctl")
}
