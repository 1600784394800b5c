//! Tests that the cross workspace builds what the root workspace describes.
#![cfg(test)]

use toml::{Table, Value};

use crate::layout::Layout;

fn manifest(path: &str) -> Table {
    let path = Layout::find().unwrap().root().join(path);
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// A dependency's version, whether it is given in place or by the workspace.
fn version(table: &Table, workspace: &Table, name: &str) -> Option<Value> {
    let dependency = &table[name];
    let by_workspace = dependency.get("workspace").is_some();
    let found = if by_workspace {
        &workspace[name]
    } else {
        dependency
    };
    found
        .get("version")
        .or_else(|| found.is_str().then_some(found))
        .cloned()
}

#[test]
fn the_driver_has_the_same_dependencies_in_both() {
    let native = manifest("driver/Cargo.toml");
    let cross = manifest("tests/lab/wdk/driver/Cargo.toml");
    let native_workspace = manifest("Cargo.toml");
    let cross_workspace = manifest("tests/lab/wdk/Cargo.toml");
    for kind in ["dependencies", "build-dependencies"] {
        let (native, cross) = (
            native[kind].as_table().unwrap(),
            cross[kind].as_table().unwrap(),
        );
        assert_eq!(
            native.keys().collect::<Vec<_>>(),
            cross.keys().collect::<Vec<_>>()
        );
        for name in native.keys() {
            assert_eq!(
                version(
                    native,
                    native_workspace["workspace"]["dependencies"]
                        .as_table()
                        .unwrap(),
                    name
                ),
                version(
                    cross,
                    cross_workspace["workspace"]["dependencies"]
                        .as_table()
                        .unwrap(),
                    name
                ),
                "{name}"
            );
        }
    }
    assert_eq!(native["package"]["name"], cross["package"]["name"]);
}

#[test]
fn lints_and_the_release_profile_are_the_same_in_both() {
    let native = manifest("Cargo.toml");
    let cross = manifest("tests/lab/wdk/Cargo.toml");
    assert_eq!(native["workspace"]["lints"], cross["workspace"]["lints"]);
    assert_eq!(
        native["workspace"]["package"],
        cross["workspace"]["package"]
    );
    assert_eq!(native["profile"]["release"], cross["profile"]["release"]);
}

#[test]
fn the_replacement_has_the_drivers_model() {
    let driver = manifest("driver/Cargo.toml");
    let model = &driver["package"]["metadata"]["wdk"]["driver-model"];
    assert_eq!(model["driver-type"].as_str(), Some("KMDF"));
    assert_eq!(model["kmdf-version-major"].as_integer(), Some(1));
    assert_eq!(model["target-kmdf-version-minor"].as_integer(), Some(33));
}
