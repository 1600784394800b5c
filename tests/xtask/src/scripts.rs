//! The PowerShell scripts of `inf/`: read for mistakes of syntax by tree-sitter's grammar, since they
//! cannot be run here. It is not PowerShell's own parser and lets some mistakes pass. What the scripts do
//! is unproven.

#[cfg(test)]
mod tests {
    use crate::layout::Layout;
    use std::{collections::BTreeSet, fs};
    use tree_sitter::{Node, Parser, Tree};

    const SCRIPTS: [&str; 3] = ["install.ps1", "uninstall.ps1", "verify.ps1"];

    /// Every command that the scripts use: of Windows PowerShell 5.1, of Windows, and their own.
    const COMMANDS: [&str; 35] = [
        "Add-Content",
        "Confirm-SecureBootUEFI",
        "Copy-Item",
        "Enable-VerifierNow",
        "Get-ChildItem",
        "Get-CimInstance",
        "Get-Date",
        "Get-Dump",
        "Get-ItemProperty",
        "Get-Location",
        "Get-Service",
        "Get-WindowsDriver",
        "Import-Certificate",
        "Invoke-Tool",
        "Join-Path",
        "New-Item",
        "New-Object",
        "Out-Null",
        "Out-String",
        "Remove-Item",
        "Resolve-Path",
        "Set-StrictMode",
        "Split-Path",
        "Start-Service",
        "Stop-Service",
        "Test-Path",
        "Test-Watched",
        "Where-Object",
        "Write-Host",
        "Write-Progress",
        "Write-Warning",
        "logman.exe",
        "pnputil.exe",
        "tracerpt.exe",
        "verifier.exe",
    ];

    fn parse(script: &str) -> Tree {
        let mut parser = Parser::new();
        parser
            .set_language(&tree_sitter_powershell::LANGUAGE.into())
            .unwrap();
        parser.parse(script, None).unwrap()
    }

    /// The first place that is no PowerShell: line, and what is wrong.
    fn mistake(script: &str) -> Option<String> {
        let tree = parse(script);
        find(tree.root_node()).map(|node| {
            let line = node.start_position().row + 1;
            format!("line {line}: {}", node.to_sexp())
        })
    }

    fn find(node: Node) -> Option<Node> {
        if node.is_error() || node.is_missing() {
            return Some(node);
        }
        let mut cursor = node.walk();
        let children: Vec<Node> = node.children(&mut cursor).collect();
        children.into_iter().find_map(find)
    }

    /// The commands that a script uses, by name.
    fn commands(script: &str) -> BTreeSet<String> {
        let tree = parse(script);
        let mut found = BTreeSet::new();
        collect(tree.root_node(), script, &mut found);
        found
    }

    fn collect(node: Node, script: &str, found: &mut BTreeSet<String>) {
        let text = &script[node.byte_range()];
        // What is called through a variable or an expression has no name.
        if node.kind() == "command_name" && !text.starts_with(['$', '(']) {
            found.insert(text.to_owned());
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            collect(child, script, found);
        }
    }

    fn script(name: &str) -> String {
        let layout = Layout::find().unwrap();
        fs::read_to_string(layout.root().join("inf").join(name)).unwrap()
    }

    #[test]
    fn the_scripts_are_powershell() {
        for name in SCRIPTS {
            assert_eq!(mistake(&script(name)), None, "{name}");
        }
    }

    #[test]
    fn the_scripts_use_commands_that_there_are() {
        let used: BTreeSet<String> = SCRIPTS
            .iter()
            .flat_map(|name| commands(&script(name)))
            .collect();
        assert_eq!(used, COMMANDS.map(str::to_owned).into());
    }

    #[test]
    fn mistakes_are_seen() {
        let sound = script("install.ps1");
        for (from, to) in [
            (
                "Set-StrictMode -Version Latest\n",
                "Set-StrictMode -Version (\n",
            ),
            ("foreach ($store in", "foreach ($store"),
            ("'Stop'", "'Stop"),
            ("[switch] $Force", "[switch $Force"),
            ("elseif", "else if"),
        ] {
            let broken = sound.replacen(from, to, 1);
            assert_ne!(broken, sound, "{from} is not there");
            assert!(mistake(&broken).is_some(), "{to} is let pass");
        }
    }

    #[test]
    fn each_says_what_it_does_and_that_it_was_not_run() {
        for name in SCRIPTS {
            let text = script(name);
            for wanted in [
                ".SYNOPSIS",
                ".DESCRIPTION",
                ".EXAMPLE",
                "Not run by this project's tests",
                "#Requires -RunAsAdministrator",
                "SupportsShouldProcess",
                "Set-StrictMode -Version Latest",
            ] {
                assert!(text.contains(wanted), "{name} has no {wanted}");
            }
            // Windows PowerShell 5.1 reads a file without a byte order mark as ANSI.
            assert!(text.is_ascii(), "{name} is not ASCII");
        }
    }
}
