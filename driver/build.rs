//! Sets the linker up for a KMDF driver that calls the kernel's SSPI, and gives the image its version.

#[path = "build/version.rs"]
mod version;

use std::{env, error::Error, fs, path::Path};
use version::Version;

fn main() -> Result<(), Box<dyn Error>> {
    wdk_build::configure_wdk_binary_build()?;
    // The wdk crates link ntoskrnl and WDFLDR; the Sspi* functions are in ksecdd.sys.
    println!("cargo::rustc-link-lib=ksecdd");
    // Windows validates the checksum of all drivers (PE Format, "CheckSum").
    println!("cargo::rustc-cdylib-link-arg=/RELEASE");
    // No code here changes its return address: the kernel's shadow stacks may be on.
    println!("cargo::rustc-cdylib-link-arg=/CETCOMPAT");
    let resource = Path::new(&env::var("OUT_DIR")?).join("version.res");
    fs::write(&resource, version_resource()?)?;
    println!("cargo::rustc-cdylib-link-arg={}", resource.display());
    Ok(())
}

fn version_resource() -> Result<Vec<u8>, Box<dyn Error>> {
    let part = |name: &str| -> Result<u16, Box<dyn Error>> {
        Ok(env::var(format!("CARGO_PKG_VERSION_{name}"))?.parse()?)
    };
    Ok(version::resource_file(&Version {
        number: [part("MAJOR")?, part("MINOR")?, part("PATCH")?, 0],
        text: &env::var("CARGO_PKG_VERSION")?,
        description: &env::var("CARGO_PKG_DESCRIPTION")?,
        file: "tlsgate.sys",
        product: "TlsGate",
    }))
}
