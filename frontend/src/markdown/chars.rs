//! Characters: the entities that are known by name, and what counts as punctuation.

/// The entities that models write; a name that is not here stays as it is written.
const NAMES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("times", '×'),
    ("divide", '÷'),
    ("minus", '−'),
    ("plusmn", '±'),
    ("ne", '≠'),
    ("le", '≤'),
    ("ge", '≥'),
    ("larr", '←'),
    ("uarr", '↑'),
    ("rarr", '→'),
    ("darr", '↓'),
    ("rArr", '⇒'),
    ("deg", '°'),
    ("micro", 'µ'),
    ("sect", '§'),
    ("euro", '€'),
    ("pound", '£'),
    ("middot", '·'),
    ("bull", '•'),
    ("check", '✓'),
];

/// The character that the entity at the beginning of a text stands for, and how long the entity is.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    let mut end = 1;
    while *bytes.get(end)? != b';' {
        if end > 9 || !(bytes[end].is_ascii_alphanumeric() || (end == 1 && bytes[1] == b'#')) {
            return None;
        }
        end += 1;
    }
    let name = &text[1..end];
    let Some(number) = name.strip_prefix('#') else {
        for (known, meant) in NAMES {
            if *known == name {
                return Some((*meant, end + 1));
            }
        }
        return None;
    };
    let (digits, radix, most) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 6),
        None => (number, 10, 7),
    };
    if digits.len() > most {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    Some((char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER), end + 1))
}

/// Where punctuation and symbols are beyond ASCII: first and last.
const PUNCTUATION: &[(u32, u32)] = &[
    (0xA1, 0xA9),
    (0xAB, 0xAC),
    (0xAE, 0xB1),
    (0xB4, 0xB4),
    (0xB6, 0xB8),
    (0xBB, 0xBB),
    (0xBF, 0xBF),
    (0xD7, 0xD7),
    (0xF7, 0xF7),
    (0x2C2, 0x2C5),
    (0x2D2, 0x2DF),
    (0x37E, 0x37E),
    (0x387, 0x387),
    (0x55A, 0x55F),
    (0x589, 0x58A),
    (0x5BE, 0x5BE),
    (0x5F3, 0x5F4),
    (0x606, 0x60F),
    (0x61B, 0x61F),
    (0x66A, 0x66D),
    (0x6D4, 0x6D4),
    (0x964, 0x965),
    (0x2010, 0x2027),
    (0x2030, 0x205E),
    (0x20A0, 0x20C0),
    (0x2103, 0x2103),
    (0x2116, 0x2117),
    (0x2120, 0x2123),
    (0x2190, 0x245F),
    (0x249C, 0x24E9),
    (0x2500, 0x2775),
    (0x2794, 0x2BFF),
    (0x2E00, 0x2E2E),
    (0x2E30, 0x2E7F),
    (0x3001, 0x3004),
    (0x3008, 0x3020),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x30FB, 0x30FB),
    (0xFE10, 0xFE19),
    (0xFE30, 0xFE6B),
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF65),
    (0x1F000, 0x1F0FF),
    (0x1F10D, 0x1FAFF),
];

/// Whether a character is punctuation or a symbol, as far as runs of emphasis are concerned.
pub(super) fn is_punctuation(c: char) -> bool {
    let code = u32::from(c);
    for (first, last) in PUNCTUATION {
        if (*first..=*last).contains(&code) {
            return true;
        }
    }
    c.is_ascii_punctuation()
}
