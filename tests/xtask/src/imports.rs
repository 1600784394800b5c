//! The table of what a driver may import, `tests/lab/wdk/imports.csv`.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The modules a driver links to: the import library's name and the file's.
pub const MODULES: [(&str, &str); 5] = [
    ("ntoskrnl", "ntoskrnl.exe"),
    ("hal", "HAL.dll"),
    ("wmilib", "WMILIB.SYS"),
    ("WdfLdr", "WDFLDR.SYS"),
    ("ksecdd", "ksecdd.sys"),
];

/// How a symbol may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    /// A function that the driver may import.
    Import,
    /// A variable that the driver may import.
    ImportData,
    /// The linker must know the symbol, and the finished driver must not have it.
    LinkOnly,
}

/// The highest IRQL that a function may be called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Irql {
    Passive,
    Apc,
    Dispatch,
    Any,
    /// It is no function.
    None,
}

/// One line of the table.
#[derive(Debug, Clone, Deserialize)]
struct Symbol {
    #[serde(rename = "symbol")]
    name: String,
    module: String,
    #[serde(rename = "use")]
    usage: Use,
    irql: Irql,
    declared: String,
    source: String,
}

/// The table.
#[derive(Debug)]
pub struct Imports(Vec<Symbol>);

impl Imports {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let symbols: Vec<Symbol> = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .from_reader(text.as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        for entry in &symbols {
            if !MODULES.iter().any(|(name, _)| *name == entry.module) {
                bail!("{}: unknown module {}", entry.name, entry.module);
            }
            if entry.declared.is_empty() || entry.source.is_empty() {
                bail!(
                    "{}: where it is declared and by which source is missing",
                    entry.name
                );
            }
            if (entry.irql == Irql::None) != (entry.usage == Use::ImportData) {
                bail!(
                    "{}: a function has a highest IRQL, and nothing else",
                    entry.name
                );
            }
            if !seen.insert(&entry.name) {
                bail!("{} is listed twice", entry.name);
            }
        }
        Ok(Self(symbols))
    }

    /// The module-definition file that an import library is made from.
    pub fn definition(&self, module: &str, file: &str) -> String {
        let mut text = format!("LIBRARY {file}\nEXPORTS\n");
        for entry in self.0.iter().filter(|entry| entry.module == module) {
            let data = if entry.usage == Use::ImportData {
                " DATA"
            } else {
                ""
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {}{data}", entry.name);
        }
        text
    }

    /// The functions of a module, and the highest IRQL of each.
    #[cfg(test)]
    pub fn functions(&self, module: &str) -> impl Iterator<Item = (&str, Irql)> {
        self.0
            .iter()
            .filter(move |entry| entry.module == module && entry.irql != Irql::None)
            .map(|entry| (entry.name.as_str(), entry.irql))
    }

    /// Why a finished driver must not import a symbol from a file, if it must not.
    pub fn objection(&self, symbol: &str, file: &str) -> Option<String> {
        let module = MODULES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(file));
        let entry = module.and_then(|(module, _)| {
            self.0
                .iter()
                .find(|entry| entry.name == symbol && entry.module == *module)
        });
        match entry {
            None => Some(format!("{file}!{symbol} is not in imports.csv")),
            Some(entry) if entry.usage == Use::LinkOnly => {
                Some(format!("{file}!{symbol} is link-only: {}", entry.source))
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "# a comment\nsymbol,module,use,irql,declared,source\n";

    fn table(lines: &str) -> Result<Imports> {
        Imports::parse(&format!("{HEADER}{lines}"))
    }

    #[test]
    fn definition_lists_the_module_and_marks_data() {
        let imports = table(
            "ZwClose,ntoskrnl,import,passive,function,page\nPsThreadType,ntoskrnl,import-data,none,variable,page\n\
             SealMessage,ksecdd,import,passive,function,page\n",
        )
        .unwrap();
        assert_eq!(
            imports.definition("ntoskrnl", "ntoskrnl.exe"),
            "LIBRARY ntoskrnl.exe\nEXPORTS\n    ZwClose\n    PsThreadType DATA\n"
        );
    }

    #[test]
    fn only_listed_imports_pass() {
        let imports = table(
            "ZwClose,ntoskrnl,import,passive,function,page\nKeBugCheckEx,ntoskrnl,link-only,any,function,page\n",
        )
        .unwrap();
        assert_eq!(imports.objection("ZwClose", "NTOSKRNL.EXE"), None);
        assert!(imports.objection("ZwClose", "ksecdd.sys").is_some());
        assert!(imports.objection("ZwOpenKey", "ntoskrnl.exe").is_some());
        assert!(
            imports
                .objection("KeBugCheckEx", "ntoskrnl.exe")
                .unwrap()
                .contains("link-only")
        );
        assert!(imports.objection("ZwClose", "kernel32.dll").is_some());
    }

    #[test]
    fn faulty_tables_are_refused() {
        assert!(table("ZwClose,ntoskrnl,import,passive,function,\n").is_err());
        assert!(table("ZwClose,kernel32,import,passive,function,page\n").is_err());
        assert!(table("ZwClose,ntoskrnl,import,none,function,page\n").is_err());
        assert!(table("ZwClose,ntoskrnl,export,passive,function,page\n").is_err());
        assert!(
            table("A,hal,import,passive,function,page\nA,ksecdd,import,passive,function,page\n")
                .is_err()
        );
    }

    #[test]
    fn the_checked_in_table_is_sound() {
        let path = crate::layout::Layout::find()
            .unwrap()
            .wdk()
            .join("imports.csv");
        let imports = Imports::read(&path).unwrap();
        assert!(imports.objection("__chkstk", "ntoskrnl.exe").is_some());
        assert!(imports.objection("KeBugCheckEx", "ntoskrnl.exe").is_some());
        assert_eq!(
            imports.objection("SspiAcceptSecurityContextAsync", "ksecdd.sys"),
            None
        );
    }
}
