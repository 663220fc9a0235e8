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

/// The directory of the built programs.
static BUILT: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the built programs, in the profile of the test. The first call runs `cargo build`, which does nothing
/// when they are up to date.
#[must_use]
pub fn directory() -> &'static Path {
    BUILT.get_or_init(|| {
        // A test runs from TARGET/PROFILE/deps/.
        let test = env::current_exe().expect("the path of the test program");
        build(test.ancestors().nth(2).expect("a test program lies in target/PROFILE/deps"))
    })
}

/// Takes the release build from now on, whatever the profile of the caller, a program in TARGET/PROFILE/: for
/// measurements. It must come before anything else here.
pub fn use_release() {
    BUILT.get_or_init(|| {
        let caller = env::current_exe().expect("the path of this program");
        let target = caller.ancestors().nth(2).expect("a program lies in target/PROFILE");
        build(&target.join("release"))
    });
}

/// Builds the programs under test in the profile of a directory.
fn build(profile: &Path) -> PathBuf {
    run_build(profile, &["--package=dataplane", "--package=vtep-ctl"]);
    // In the middle of other tests its build would take the machine from them.
    run_build(profile, &["--package=vtep-bench", "--bin=pktgen"]);
    profile.to_owned()
}

fn run_build(profile: &Path, what: &[&str]) {
    let target = profile.parent().expect("a profile lies in target");
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(repository());
    build.args(["build", "--quiet", "--target-dir"]).arg(target).args(what);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let _ = Finished::of(&mut build).output();
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

/// The load generator.
#[must_use]
pub fn pktgen() -> PathBuf {
    directory().join("pktgen")
}
