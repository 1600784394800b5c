//! Sets the linker up for a KMDF driver that calls the kernel's SSPI.

fn main() -> Result<(), wdk_build::ConfigError> {
    wdk_build::configure_wdk_binary_build()?;
    // The wdk crates link ntoskrnl and WDFLDR; the Sspi* functions are in ksecdd.sys.
    println!("cargo::rustc-link-lib=ksecdd");
    Ok(())
}
