//! The figures as text.

use super::results::{Bound, Row};

/// All figures, a line each.
pub fn of(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let holds = match row.holds() {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "",
        };
        let (value, bound) = (value(row), bound(row));
        let line = format!("{:<width$}  {value:>24}  {bound:<22}  {holds}", row.name);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// One figure and what it must keep to.
pub fn line(row: &Row) -> String {
    format!("{}: {} ({})", row.name, value(row), bound(row))
}

/// The figure with its unit and spread.
pub fn value(row: &Row) -> String {
    let spread = row
        .spread
        .map(|spread| format!(" ± {}", number(spread)))
        .unwrap_or_default();
    let unit = if row.unit.is_empty() { "" } else { " " };
    format!("{}{spread}{unit}{}", number(row.value), row.unit)
}

/// What it must keep to; empty for a figure that is only reported.
pub fn bound(row: &Row) -> String {
    let unit = if row.unit.is_empty() { "" } else { " " };
    match row.bound {
        Some(Bound::AtMost(most)) => format!("at most {}{unit}{}", number(most), row.unit),
        Some(Bound::AtLeast(least)) => format!("at least {}{unit}{}", number(least), row.unit),
        None => String::new(),
    }
}

/// A number with as many digits as mean something: thousands apart, or four significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size >= 1000.0 || value.fract() == 0.0 {
        return thousands(&format!("{value:.0}"));
    }
    let decimals = if size >= 100.0 {
        1
    } else if size >= 10.0 {
        2
    } else if size >= 0.001 {
        3
    } else {
        7
    };
    format!("{value:.decimals$}")
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |digits| ("-", digits));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_its_bound_and_whether_it_holds() {
        let row = |name: &str, value, unit: &str, spread, bound| Row {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            spread,
            bound,
        };
        let text = of(&[
            row("rate", 12_345.6, "/s", Some(20.5), None),
            row("ratio", 0.9654, "", None, Some(Bound::AtLeast(0.97))),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
            "rate 12,346 ± 20.50 /s"
        );
        assert!(
            lines[1].ends_with("at least 0.970          DOES NOT HOLD"),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 5.0, 0.9712, 12.345, 250.26, 1_234_567.8, -1500.0].map(number);
        assert_eq!(
            numbers,
            ["0", "5", "0.971", "12.35", "250.3", "1,234,568", "-1,500"]
        );
    }
}
