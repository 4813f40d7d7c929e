//! Texts of clouds, made safe for a status, an event, a log and a terminal.

/// `text` on one line, without control characters, terminal sequences or characters that reorder or hide others, and
/// cut with an ellipsis so that it has at most `max` characters.
pub fn sanitize(text: &str, max: usize) -> String {
    // Nearly all texts are, and there are many at each poll.
    if text.len() <= max && is_plain(text) {
        return text.to_owned();
    }
    sanitize_each(text, max)
}

/// Whether nothing is to be cleaned: ASCII on one line, and no space that is one too many.
fn is_plain(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_printable && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ")
}

fn sanitize_each(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut gap = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' || c == '\u{9b}' {
            skip_terminal_sequence(c, &mut chars);
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            gap = c.is_whitespace() || gap;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if gap && length > 0 {
            out.push(' ');
            length += 1;
        }
        gap = false;
        out.push(c);
        length += 1;
        if length > max {
            return out.chars().take(max.saturating_sub(1)).chain(['…']).collect();
        }
    }
    out
}

/// As [`sanitize`], `None` where nothing is left.
pub fn sanitize_some(text: Option<&str>, max: usize) -> Option<String> {
    text.map(|text| sanitize(text, max)).filter(|text| !text.is_empty())
}

/// Skips what follows an escape character: ECMA-48 control sequences and operating system commands.
fn skip_terminal_sequence(introducer: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let kind = if introducer == '\u{9b}' { Some('[') } else { chars.next_if(|c| c.is_ascii_graphic()) };
    match kind {
        Some('[') => {
            while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']') => {
            while let Some(c) = chars.next_if(|c| *c != '\u{1b}') {
                if c == '\u{7}' {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Bidirectional controls, zero-width characters, tags and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("plain words", "plain words")]
    #[case("two  spaces", "two spaces")]
    #[case(" two\n\nlines\tand tabs ", "two lines and tabs")]
    #[case("nul\0 and bell\u{7}", "nul and bell")]
    #[case("\u{1b}[31mred\u{1b}[0m \u{9b}1mbold", "red bold")]
    #[case("\u{1b}]0;title\u{7}after", "after")]
    #[case("\u{1b}]8;;http://x\u{1b}\\link", "link")]
    #[case("evil\u{202e}txt.exe", "eviltxt.exe")]
    #[case("zero\u{200b}width\u{feff}", "zerowidth")]
    #[case("\u{1b}", "")]
    #[case("кластер создан", "кластер создан")]
    fn a_text_is_cleaned(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(sanitize(text, 100), expected);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(sanitize("ääääää", 4), "äää…");
        assert_eq!(sanitize("ääää", 4), "ääää");
    }

    proptest::proptest! {
        #[test]
        fn a_plain_text_is_one_that_cleaning_leaves_as_it_is(text in "[ a~\u{7f}\u{1b}\té]{0,9}", max in 0_usize..9) {
            proptest::prop_assert_eq!(sanitize(&text, max), sanitize_each(&text, max));
        }
    }
}
