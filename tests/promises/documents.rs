//! The promises that the documents make.

/// One promise.
pub struct Promise {
    /// The name by which tests cite it.
    pub id: String,
    pub text: String,
}

/// The promises of one list.
pub struct Section {
    pub title: &'static str,
    pub promises: Vec<Promise>,
}

/// Every list of promises, in the order of the page.
pub fn sections() -> Vec<Section> {
    vec![
        Section { title: "Guarantees of the registry", promises: guarantees() },
        Section { title: "Invariants of a connect that does not wait", promises: invariants() },
        Section { title: "The comparison with other torifiers", promises: comparison() },
        Section {
            title: "The layers of protection",
            promises: bullets("design/threat-model.md", "What each layer guarantees"),
        },
        Section {
            title: "What it does not protect against",
            promises: bullets("README.md", "What it does not protect against"),
        },
        Section {
            title: "What is not recognised",
            promises: bullets("design/manual/limits.md", "Recognition of direct system calls"),
        },
        Section { title: "Limits", promises: bullets("design/manual/limits.md", "Known limits") },
        Section {
            title: "Limits of a connect that does not wait",
            promises: bullets("design/nonblocking.md", "Limits"),
        },
        Section {
            title: "Limits of questions to a name server",
            promises: bullets("design/datagrams.md", "Limits"),
        },
    ]
}

/// `**A** text`, as the registry's head lists them.
fn guarantees() -> Vec<Promise> {
    let head = crate::read("src/registry/src/lib.rs");
    let lines = head.lines().map_while(|line| line.strip_prefix("//!"));
    items(lines).into_iter().filter_map(|item| bold(&item)).collect()
}

/// `1. *Title.* text`: the title.
fn invariants() -> Vec<Promise> {
    let document = crate::read("design/nonblocking.md");
    let numbered =
        |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let mut items: Vec<String> = Vec::new();
    for line in section(&document, "Invariants") {
        match items.last_mut() {
            _ if numbered(line) => items.push(line.to_owned()),
            Some(item) if line.starts_with(' ') => *item += &format!(" {}", line.trim()),
            _ => {}
        }
    }
    let promise = |item: String| {
        let (number, text) = item.split_once(". ").expect("as just seen");
        let title = text.split('*').nth(1).expect("a title in italics");
        Promise { id: format!("invariant {number}"), text: title.trim_end_matches('.').to_owned() }
    };
    items.into_iter().map(promise).collect()
}

/// The rows of README's table of torifiers: what epochsocks does.
fn comparison() -> Vec<Promise> {
    let readme = crate::read("README.md");
    let mut rows = readme.lines().map(cells).skip_while(|cells| {
        !(cells.get(1).is_some_and(|cell| cell == "epochsocks")
            && cells.iter().any(|cell| cell == "torsocks"))
    });
    let _head = rows.next();
    rows.skip(1)
        .take_while(|cells| cells.len() > 2)
        .map(|cells| Promise { id: cells[0].replace('`', ""), text: cells[1].clone() })
        .collect()
}

fn cells(line: &str) -> Vec<String> {
    let Some(line) = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
        return Vec::new();
    };
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// `- **id** text` under a heading: the id.
fn bullets(document: &str, heading: &str) -> Vec<Promise> {
    let text = crate::read(document);
    let of = |item: String| match bold(&item) {
        Some(Promise { id, .. }) => Promise { id, text: String::new() },
        None => panic!("{document}, {heading}: no name in bold before: {item}"),
    };
    items(section(&text, heading)).into_iter().map(of).collect()
}

/// The lines under a heading, up to the next one of its level or above.
fn section<'a>(document: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let level = |line: &str| line.bytes().take_while(|&byte| byte == b'#').count();
    let mut lines = document
        .lines()
        .skip_while(move |line| level(line) == 0 || line.trim_start_matches('#').trim() != heading);
    let depth = lines.next().map_or(0, level);
    lines.take_while(move |line| level(line) == 0 || level(line) > depth)
}

/// The items of a list, each on one line.
fn items<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in lines.map(str::trim) {
        if let Some(start) = line.strip_prefix("- ") {
            items.push(start.to_owned());
            is_open = true;
        } else if line.is_empty() || line.starts_with('#') {
            is_open = false;
        } else if let (true, Some(item)) = (is_open, items.last_mut()) {
            *item += &format!(" {line}");
        }
    }
    items
}

/// `**id** text`, or `**id**: text`.
fn bold(item: &str) -> Option<Promise> {
    let (id, text) = item.strip_prefix("**")?.split_once("**")?;
    let text = text.trim_start_matches(':').trim();
    Some(Promise { id: id.trim_end_matches(['.', ':']).replace('`', ""), text: text.to_owned() })
}
