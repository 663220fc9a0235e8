//! Inputs that once broke something, or reach what nothing else does: replayed as the fuzz targets would.

use std::fs;
use std::path::Path;

use crate::arbitrary;

#[test]
fn every_recorded_input_passes() {
    let mut replayed = 0;
    for (target, run) in [("forward", arbitrary::forward as fn(&[u8])), ("proxy", arbitrary::proxy)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions").join(target);
        for entry in fs::read_dir(&folder).expect("the folder of recorded inputs") {
            let path = entry.expect("a file").path();
            println!("{}", path.display());
            run(&fs::read(&path).expect("its bytes"));
            replayed += 1;
        }
    }
    assert!(replayed >= 2);
}
