//! `cargo make` packages the driver on Windows, where nothing here was run: at least the names in its
//! makefiles are those of wdk-build's.

#[cfg(test)]
mod tests {
    use crate::{layout::Layout, process, toolchain::Toolchain};
    use std::{fs, path::PathBuf, process::Command};
    use toml::Table;

    fn table(path: PathBuf) -> Table {
        fs::read_to_string(path).unwrap().parse().unwrap()
    }

    /// The manifest of the wdk-build that Windows uses, and where it is.
    fn wdk_build(layout: &Layout) -> (String, PathBuf) {
        let metadata = process::output(
            Command::new(Toolchain::installed_cargo())
                .current_dir(layout.root())
                .args(["metadata", "--format-version", "1", "--locked"]),
        )
        .unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        let package = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|package| package["name"] == "wdk-build")
            .unwrap();
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        (
            package["version"].as_str().unwrap().to_owned(),
            manifest.parent().unwrap().to_path_buf(),
        )
    }

    #[test]
    fn the_makefiles_name_what_wdk_build_has() {
        let layout = Layout::find().unwrap();
        let (version, folder) = wdk_build(&layout);
        let theirs = table(folder.join("rust-driver-makefile.toml"));
        let ours = table(layout.root().join("inf/Makefile.toml"));
        let tasks = theirs["tasks"].as_table().unwrap();
        for (name, task) in ours["tasks"].as_table().unwrap() {
            assert!(tasks.contains_key(name), "wdk-build has no task {name}");
            for needed in task["dependencies"].as_array().unwrap() {
                let needed = needed.as_str().unwrap();
                assert!(tasks.contains_key(needed), "wdk-build has no task {needed}");
            }
            let script = task["script"].as_str().unwrap();
            assert!(script.contains("inf/tlsgate.inx"));
        }
        let load = ours["config"]["load_script"].as_str().unwrap();
        assert!(load.contains(&format!("wdk-build = \"{version}\"")));

        // The link that wdk-build makes, as `inf/` sees it.
        assert_eq!(
            ours["extend"].as_str(),
            Some("../target/rust-driver-makefile.toml")
        );
        let root = table(layout.root().join("Makefile.toml"));
        let default = &root["tasks"]["default"];
        let called: Vec<&str> = default["args"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(toml::Value::as_str)
            .collect();
        assert!(tasks.contains_key("default") && called.contains(&"default"));
        assert!(called.contains(&"../inf/Makefile.toml"));
        assert_eq!(
            default["dependencies"].as_array().unwrap(),
            &["target-folder".into()]
        );
    }

    #[test]
    fn the_inf_is_named_as_wdk_build_looks_for_it() {
        let layout = Layout::find().unwrap();
        let (_, folder) = wdk_build(&layout);
        let theirs = fs::read_to_string(folder.join("rust-driver-makefile.toml")).unwrap();
        let driver = table(layout.root().join("driver/Cargo.toml"));
        // The crate's name is that of the INF, the catalogue and the driver.
        assert_eq!(driver["package"]["name"].as_str(), Some("tlsgate"));
        for place in [
            "${WDK_BUILD_OUTPUT_DIRECTORY}/${CARGO_MAKE_CRATE_FS_NAME}.inf",
            "${CARGO_MAKE_CRATE_FS_NAME}.cat",
        ] {
            assert!(theirs.contains(place), "{place}");
        }
        let inf = fs::read_to_string(layout.root().join("inf/tlsgate.inx")).unwrap();
        assert!(inf.contains("CatalogFile = tlsgate.cat"));
    }
}
