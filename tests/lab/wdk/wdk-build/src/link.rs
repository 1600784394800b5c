//! What is linked into a driver, and how.

/// The libraries of `wdk-build` 0.6.0 for KMDF on x64.
const BASE_LIBRARIES: [&str; 6] = [
    "BufferOverflowFastFailK",
    "ntoskrnl",
    "hal",
    "wmilib",
    "WdfLdr",
    "WdfDriverEntry",
];

/// The `#[link]` blocks that bring them in.
pub fn base_libraries() -> String {
    BASE_LIBRARIES.map(link_block).concat()
}

fn link_block(library: &str) -> String {
    format!(
        "#[cfg(not(any(test, feature = \"suppress-wdk-linking\")))]\n\
         #[link(name = \"{library}\", kind = \"static\", modifiers = \"-bundle\")]\n\
         unsafe extern \"C\" {{}}\n"
    )
}

/// Tells rustc which driver model the crate is built for.
pub fn emit_driver_model() {
    println!(
        "cargo::rustc-check-cfg=cfg(driver_model__driver_type, values(\"WDM\",\"KMDF\",\"UMDF\"))"
    );
    println!("cargo::rustc-cfg=driver_model__driver_type=\"KMDF\"");
}

/// Passes the flags that make the linker's output a KMDF driver.
pub fn emit_driver_arguments() {
    for argument in [
        "/DRIVER",
        "/NODEFAULTLIB",
        "/SUBSYSTEM:NATIVE",
        "/ENTRY:FxDriverEntry",
        "/NXCOMPAT",
        "/DYNAMICBASE",
        "/OPT:REF,ICF",
        "/INTEGRITYCHECK",
        "/MANIFEST:NO",
        "/MAP",
        "/MAPINFO:EXPORTS",
        // A section that lld leaves without attributes keeps Windows from loading the image
        // (windows-drivers-rs #182). The WDK's /KERNEL and its /IGNORE have no use with lld.
        "/MERGE:.retplne=.rdata",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
