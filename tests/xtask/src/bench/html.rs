//! `target/reports/bench.html`: the report for people, in one file that needs nothing else.

use std::{fmt::Write as _, fs};

use anyhow::{Context, Result};

use super::{
    changes::Change,
    plot,
    results::{Plot, Results, Row},
    table,
};
use crate::{layout::Layout, report};

/// Writes it.
///
/// # Errors
///
/// A curve cannot be drawn, or the file not be written.
pub fn write(layout: &Layout, command: &str, all: &Results, changes: &[Change]) -> Result<()> {
    let commit = report::commit(layout).unwrap_or_else(|| "unknown".to_owned());
    let page = page(&commit, command, all, changes)?;
    let file = layout.root().join("target/reports/bench.html");
    fs::write(&file, page).with_context(|| format!("writing {}", file.display()))
}

fn page(commit: &str, command: &str, all: &Results, changes: &[Change]) -> Result<String> {
    let mut page = String::from(HEAD);
    write!(
        page,
        "<h1>TlsGate: speed and size</h1>\n<p><code>{}</code> at commit <code>{}</code></p>\n{WHERE}",
        escaped(command),
        escaped(commit)
    )?;
    page += "<h2>Figures</h2>\n<table><tr><th>figure<th>value<th>bound<th>holds</tr>\n";
    for row in &all.rows {
        page += &figure(row);
    }
    page += "</table>\n";
    for curves in &all.plots {
        page += &figure_of(curves)?;
    }
    page += "<h2>Changes, before and after</h2>\n";
    if changes.is_empty() {
        page += "<p>None is written down in tests/bench/changes.toml.</p>\n";
    } else {
        page += "<table><tr><th>change<th>figure<th>before<th>after<th>after / before</tr>\n";
        for it in changes {
            page += &change(it);
        }
        page += "</table>\n";
    }
    page += "<h2>Method and notes</h2>\n<ul>\n";
    for note in &all.notes {
        writeln!(page, "<li>{}</li>", escaped(note))?;
    }
    page += "</ul>\n</html>\n";
    Ok(page)
}

fn figure(row: &Row) -> String {
    let (class, holds) = match row.holds() {
        Some(true) => ("good", "yes"),
        Some(false) => ("bad", "no"),
        None => ("", "reported"),
    };
    let cells = [&row.name, &table::value(row), &table::bound(row)].map(|cell| escaped(cell));
    let [name, value, bound] = cells;
    format!(
        "<tr><td>{name}<td class=n>{value}<td class=n>{bound}<td class=\"{class}\">{holds}</tr>\n"
    )
}

/// Curves with their title and their names.
fn figure_of(curves: &Plot) -> Result<String> {
    let (title, svg) = (escaped(&curves.title), plot::svg(curves)?);
    let names = plot::legend(curves).map(|(name, colour)| {
        let name = escaped(name);
        format!("<span style=\"color: {colour}\">\u{25a0}</span> {name} ")
    });
    let names = names.collect::<Vec<_>>().concat();
    Ok(format!(
        "<figure><figcaption>{title}</figcaption><p>{names}</p>{svg}</figure>\n"
    ))
}

fn change(change: &Change) -> String {
    let Change {
        what,
        commit,
        figure,
        before,
        after,
        unit,
    } = change;
    let ratio = if *before == 0.0 {
        "–".to_owned()
    } else {
        table::number(after / before)
    };
    format!(
        "<tr><td>{}<br><small>{}</small><td>{}<td class=n>{before} {unit}<td class=n>{after} {unit}\
         <td class=n>{ratio}</tr>\n",
        escaped(what),
        escaped(commit),
        escaped(figure),
        before = table::number(*before),
        after = table::number(*after),
        unit = escaped(unit),
    )
}

/// Text for a place between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Where the figures come from, and where they do not.
const WHERE: &str = "\
<p><strong>No figure was taken on Windows.</strong> Everything here was measured in the lab on Linux: the packaged \
driver in Wine's kernel, with stand-ins for KMDF and for the kernel's SSPI, whose engine is rustls. It is the same \
tlsgate.sys as everywhere; the stand-ins are built anew for this with an allocator without Wine's heap lock and with \
their costly checks off, which are on in every other run of the lab. On a Windows machine with the driver installed, one command takes the figures of that machine:</p>
<pre>tlsgate bench --compare --bytes</pre>
";

/// The page's front. Both colour schemes; nothing is fetched.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>TlsGate: speed and size</title>
<style>
:root { --line: #c8c8c8; --good: #1b6e2d; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --line: #555; --good: #7bd389; --bad: #ff8a80 } }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.good { color: var(--good) }
.bad { color: var(--bad); font-weight: bold }
figure { margin: 2rem 0 }
figcaption { font-weight: bold }
svg { width: 100%; height: auto }
pre { border: 1px solid var(--line); padding: .6rem; overflow-x: auto }
</style>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Axis, Bound, Series};

    #[test]
    fn the_page_has_everything_and_fetches_nothing() {
        let axis = || Axis {
            label: "legs".to_owned(),
            log: false,
        };
        let all = Results {
            rows: vec![Row {
                name: "a <figure>".to_owned(),
                value: 2.0,
                unit: "us".to_owned(),
                spread: Some(0.5),
                bound: Some(Bound::AtMost(1.0)),
            }],
            plots: vec![Plot {
                title: "curves".to_owned(),
                x: axis(),
                y: axis(),
                series: vec![Series {
                    name: "one".to_owned(),
                    points: vec![(1.0, 1.0), (2.0, 3.0)],
                }],
            }],
            notes: vec!["how it was done".to_owned()],
        };
        let changes = [Change {
            what: "less of it".to_owned(),
            commit: "Do less".to_owned(),
            figure: "time".to_owned(),
            before: 4.0,
            after: 1.0,
            unit: "us".to_owned(),
        }];
        let page = page("abc", "cargo xtask bench", &all, &changes).unwrap();
        for text in [
            "a &lt;figure&gt;",
            "2 ± 0.500 us",
            "at most 1 us",
            "class=\"bad\">no",
            "<svg",
            "how it was done",
            "rgb(42, 125, 225)",
            "</span> one ",
            "less of it",
            "0.250",
            "cargo xtask bench",
            "abc",
            "No figure was taken on Windows",
            "tlsgate bench --compare --bytes",
            "prefers-color-scheme: dark",
        ] {
            assert!(page.contains(text), "{text}");
        }
        // But for the name of SVG itself.
        let links = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!links.contains("http") && !links.contains("src=") && !links.contains("@import"));
    }
}
