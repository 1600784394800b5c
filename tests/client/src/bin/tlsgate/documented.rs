//! Command lines of this program in the documents and in its own help: each is one that it takes.

#[path = "../../../../e2e/src/documents.rs"]
mod documents;

use crate::cli::Cli;
use clap::{CommandFactory, Parser, error::ErrorKind};
use std::path::Path;

/// Parses a command line as the program would; what stands for a thumbprint is one.
fn parse(words: &[&str]) -> Result<(), String> {
    let thumbprint = "00".repeat(20);
    let words = words.iter().map(|word| match *word {
        "THUMBPRINT" | "FIRST" | "SECOND" => &thumbprint,
        word => word,
    });
    match Cli::try_parse_from(words) {
        Err(error) if error.kind() != ErrorKind::DisplayHelp => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// A line's command, without what a shell does with it and what is told beside it.
fn command_of(line: &str) -> &str {
    ["  ", " > ", " | "]
        .iter()
        .fold(line, |line, end| line.split(end).next().unwrap_or(line))
}

#[test]
fn the_documents_commands_are_parsed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commands = documents::all(&root).unwrap();
    let mut count = 0;
    for command in commands {
        let words = command.words();
        if words.first() == Some(&"tlsgate") {
            let place = format!("{}:{}", command.document, command.line);
            parse(&words).unwrap_or_else(|error| panic!("{place}: {}: {error}", command.text));
            count += 1;
        }
    }
    assert!(count > 6, "{count} command lines were found");
}

#[test]
fn the_help_s_examples_are_parsed() {
    let mut count = 0;
    let mut commands = vec![Cli::command()];
    while let Some(mut command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        let help = command.render_long_help().to_string();
        for line in help.lines().map(str::trim) {
            let words: Vec<&str> = command_of(line).split_whitespace().collect();
            if words.first() == Some(&"tlsgate") && words.len() > 1 {
                parse(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count} examples were found");
}
