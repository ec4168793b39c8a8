//! Test vectors: docs/spec/vectors holds what the tests make, so that another implementation can read it, and so that
//! nothing changes on the wire unseen. `UPDATE_VECTORS=1 cargo test -p porchlight-wire` writes them anew.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::PathBuf;

/// Compares what was made with what was committed as `name`.
#[expect(
    clippy::disallowed_methods,
    reason = "vectors are files, and only tests are built from this module"
)]
pub(crate) fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, made: &T) {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "..",
        "docs",
        "spec",
        "vectors",
        &format!("{name}.json"),
    ]
    .iter()
    .collect();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(made).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let committed: T = serde_json::from_str(&text).unwrap();
    assert_eq!(&committed, made, "{name} is another one on the wire now");
}
