//! The checked-in header is fresh, and compilers take it.

use super::header;
use crate::layout::Layout;
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

/// Where it is checked in.
const HEADER: &str = "driver/protocol/include/tlsgate.h";

#[test]
fn the_checked_in_header_is_what_the_protocol_says() {
    let layout = Layout::find().unwrap();
    let text = header(&layout).unwrap();
    let path = layout.root().join(HEADER);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let present = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == present,
        "{HEADER} is stale: run this test with BLESS=1"
    );
}

/// Compiles a program that includes the header, without making anything of it.
fn compiles(compiler: &str, arguments: &[&str], program: &str) -> Result<(), String> {
    let include = Layout::find().unwrap().root().join(HEADER);
    let mut child = Command::new(compiler)
        .args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(arguments)
        .arg("-I")
        .arg(include.parent().unwrap())
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(program.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

const USE: &str = "#include <tlsgate.h>\n#include <tlsgate.h>\n\
                   extern tlsgate_accept_request request;\n";

#[test]
fn c_and_cplusplus_of_32_and_64_bits_take_the_header() {
    for target in [
        "x86_64-pc-windows-gnu",
        "i686-pc-windows-gnu",
        "x86_64-pc-windows-msvc",
        "i686-pc-windows-msvc",
        "aarch64-pc-windows-msvc",
    ] {
        for (language, standard) in [
            ("c", "c11"),
            ("c", "c17"),
            ("c++", "c++11"),
            ("c++", "c++20"),
        ] {
            let target = format!("--target={target}");
            let standard = format!("-std={standard}");
            let arguments = [&target, "-ffreestanding", "-x", language, &standard];
            compiles(crate::wdk::CLANG, &arguments, USE).unwrap();
        }
    }
}

#[test]
fn a_compiler_with_another_layout_stops() {
    let arguments = ["-ffreestanding", "-x", "c", "-std=c11"];
    let arguments = [&["--target=i686-pc-windows-gnu"][..], &arguments].concat();
    // A type of another size, as a broken stdint.h would have it.
    let program = format!("#include <stdint.h>\n#define uint64_t uint32_t\n{USE}");
    let said = compiles(crate::wdk::CLANG, &arguments, &program).unwrap_err();
    assert!(said.contains("sizeof(tlsgate_accept_request)"), "{said}");
}

/// `CTL_CODE` as mingw-w64's `winioctl.h` has it.
#[test]
fn the_codes_are_those_that_the_sdk_s_macro_makes() {
    let mut program =
        String::from("#include <tlsgate.h>\n#include <windows.h>\n#include <winioctl.h>\n");
    for (name, function, access) in [
        ("QUERY_VERSION", "0x800", "FILE_READ_ACCESS"),
        ("ACCEPT", "0x803", "FILE_READ_ACCESS | FILE_WRITE_ACCESS"),
        ("QUERY_STATISTICS", "0x80A", "FILE_READ_ACCESS"),
    ] {
        writeln!(
            program,
            "_Static_assert(TLSGATE_IOCTL_{name} == \
             (DWORD)CTL_CODE(0x8541u, {function}, METHOD_BUFFERED, {access}), \"{name}\");"
        )
        .unwrap();
    }
    compiles("x86_64-w64-mingw32-gcc", &["-x", "c", "-std=c11"], &program).unwrap();
}
