//! Numbers and tables as text.

use crate::measure::statistics::Summary;

/// A number for an axis or a table.
pub fn number(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 || scaled == scaled.round() => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 4,
    };
    format!("{scaled:.digits$}{suffix}")
}

/// Nanoseconds with the unit that makes them short.
pub fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        it if it >= 1e6 => (it / 1e6, "ms"),
        it if it >= 1e3 => (it / 1e3, "µs"),
        it => (it, "ns"),
    };
    let digits = if value >= 10.0 || value == value.round() { 0 } else { 1 };
    format!("{value:.digits$} {unit}")
}

/// The quartiles. A single value has none.
pub fn quartiles(it: &Summary) -> String {
    if it.lower < it.upper { range((it.lower, it.upper)) } else { "–".to_owned() }
}

/// Both ends of a range.
pub fn range((low, high): (f64, f64)) -> String {
    format!("{low:.2}–{high:.2}")
}

/// The length of a document's lines.
const COLUMNS: usize = 112;

/// A paragraph in lines.
pub fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let last = lines.last_mut().expect("at least one line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= COLUMNS {
            *last += &format!(" {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

/// `text` for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table: heads, and rows of as many cells, of which the first names the row.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Above the columns.
    pub heads: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(heads: &[&str]) -> Table {
        Table { heads: heads.iter().map(|head| (*head).to_owned()).collect(), rows: Vec::new() }
    }

    /// Rows as columns.
    pub fn turned(&self) -> Table {
        let column = |index: usize| self.rows.iter().map(move |row| row[index].clone());
        let turned = |index: usize| std::iter::once(self.heads[index].clone()).chain(column(index));
        let mut all = (0..self.heads.len()).map(|index| turned(index).collect::<Vec<_>>());
        Table { heads: all.next().unwrap_or_default(), rows: all.collect() }
    }

    /// For the page.
    pub fn html(&self, caption: &str) -> String {
        let row = |cells: &[String], tag: &str| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
            format!("<tr>{}</tr>", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        format!(
            "<table><caption>{}</caption><thead>{}</thead><tbody>{rows}</tbody></table>",
            escape(caption),
            row(&self.heads, "th")
        )
    }

    /// For a Markdown document; all columns but the first are numbers.
    pub fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("| --- |{}\n", " ---: |".repeat(self.heads.len().saturating_sub(1)));
        let rows: String = self.rows.iter().map(|cells| row(cells)).collect();
        format!("{}{rule}{rows}", row(&self.heads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let written = [0.004, 0.5, 3.0, 12.34, 250.4, 12_345.0, 3.2e6].map(number);
        assert_eq!(written, ["0.0040", "0.50", "3", "12.3", "250", "12.3k", "3.20M"]);
        assert_eq!([430.0, 1_400.0, 12e6].map(time), ["430 ns", "1.4 µs", "12 ms"]);
    }

    #[test]
    fn a_paragraph_has_no_long_line_and_all_its_words() {
        let text = "a word ".repeat(100);
        let wrapped = wrapped(&text);
        assert!(wrapped.lines().all(|line| line.chars().count() <= COLUMNS));
        assert!(wrapped.lines().count() > 5);
        assert!(wrapped.split_whitespace().eq(text.split_whitespace()));
    }

    #[test]
    fn a_table_is_turned_with_its_heads() {
        let mut table = Table::new(&["", "a", "b"]);
        table.rows.push(["x", "1", "2"].map(str::to_owned).to_vec());
        let turned = table.turned();
        assert_eq!(turned.heads, ["", "x"]);
        assert_eq!(turned.rows, [["a", "1"], ["b", "2"]]);
        assert_eq!(turned.markdown(), "|  | x |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n");
    }
}
