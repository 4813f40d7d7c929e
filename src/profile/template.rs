//! Texts with `{parameters}` in them: paths, values of a query, hosts.

use std::collections::BTreeSet;

use crate::observation::encode_segment;

/// The parameter that every profile has.
pub const OPERATION_ID: &str = "operationId";

/// A text with parameters in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Parameter(Box<str>),
}

impl Template {
    /// Reads a template whose parameters are among `known`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(text: &str, known: &BTreeSet<&str>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, behind) = rest.split_at(at);
            let inside = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
            let Some((name, behind)) = inside else {
                return Err(format!("{text:?} has a brace without its other half"));
            };
            if !known.contains(name) {
                let known = known.iter().copied().collect::<Vec<_>>().join(", ");
                return Err(format!("{text:?} names {{{name}}}, which is none of its parameters ({known})"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::Parameter(name.into()));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts.into()))
    }

    /// Whether the parameter `name` is in it.
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Parameter(parameter) if **parameter == *name))
    }

    /// Whether it is the parameter `name` and no more.
    pub fn is_alone(&self, name: &str) -> bool {
        matches!(&*self.0, [Part::Parameter(parameter)] if **parameter == *name)
    }

    /// The names of the parameters in it.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(&**name),
            Part::Literal(_) => None,
        })
    }

    /// The text with the parameters' values as they are.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> &'a str) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Parameter(name) => filled.push_str(value(name)),
            }
        }
        filled
    }

    /// The path with each value percent-encoded, so that it stays within its segment whatever it holds.
    pub fn fill_path<'a>(&self, value: impl Fn(&str) -> &'a str) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Parameter(name) => filled.extend(encode_segment(value(name))),
            }
        }
        filled
    }
}

/// Refuses the path of a template, the literal parts of which are sent as they are.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_path(text: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("{text:?} {why}"));
    // RFC 3986, section 3.3: what a segment may hold without being encoded; braces are those of parameters.
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@{}".contains(c);
    if !text.starts_with('/') {
        return refuse("does not begin with /");
    }
    if let Some(c) = text.chars().find(|c| !is_of_path(*c)) {
        return refuse(&format!("has {c:?}, which cannot stand in a path"));
    }
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if matches!(segment, "." | "..") || segment.is_empty() && !is_last {
            return refuse("has an empty segment, or one that leads upwards");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Template, String> {
        Template::read(text, &BTreeSet::from(["project", "region", OPERATION_ID]))
    }

    #[rstest::rstest]
    #[case("/v1/{project}/ops/{operationId}", "/v1/a%2Fb%3Fc%23%25/ops/a%2Fb%3Fc%23%25")]
    #[case("/jobs/{project}", "/jobs/a%2Fb%3Fc%23%25")]
    #[case("/x/{project}:status", "/x/a%2Fb%3Fc%23%25:status")]
    #[case("/plain/", "/plain/")]
    fn a_value_stays_in_its_segment(#[case] template: &str, #[case] path: &str) {
        assert_eq!(read(template).unwrap().fill_path(|_| "a/b?c#%"), path);
    }

    #[rstest::rstest]
    #[case("/x/{project}/y", "..", "/x/%252E/y")]
    #[case("/x/{project}", ".", "/x/%252E")]
    #[case("/x/{project}.json", "..", "/x/%252E.json")]
    #[case("/x/.{project}", ".", "/x/.%252E")]
    fn no_value_leads_upwards(#[case] template: &str, #[case] value: &str, #[case] path: &str) {
        let filled = read(template).unwrap().fill_path(|_| value);
        assert_eq!(filled, path);
        let url = url::Url::parse(&format!("https://h{filled}")).unwrap();
        assert!(url.path().starts_with("/x/"), "{url}");
    }

    #[test]
    fn a_query_is_filled_with_values_as_they_are() {
        assert_eq!(read("id eq {operationId}").unwrap().fill(|_| "a/b"), "id eq a/b");
    }

    #[rstest::rstest]
    #[case("/{zone}", "names {zone}, which is none of its parameters (operationId, project, region)")]
    #[case("/{project", "a brace without its other half")]
    #[case("/project}", "a brace without its other half")]
    #[case("/{pro{ject}}", "names {pro{ject}")]
    fn what_is_no_template_says_why(#[case] text: &str, #[case] why: &str) {
        let error = read(text).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[rstest::rstest]
    #[case("/v1/jobs", true)]
    #[case("/api/v2/jobs/{operationId}/", true)]
    #[case("/x/{a}:status,b;c=@", true)]
    #[case("/", true)]
    #[case("v1", false)]
    #[case("/v1//x", false)]
    #[case("/v1/../x", false)]
    #[case("/v1/.", false)]
    #[case("/v1/a%2Fb", false)]
    #[case("/v1/a b", false)]
    #[case("/v1?x", false)]
    #[case("/v1/ü", false)]
    fn a_path_is_sent_as_it_stands(#[case] text: &str, #[case] is_path: bool) {
        assert_eq!(check_path(text).is_ok(), is_path);
    }
}
