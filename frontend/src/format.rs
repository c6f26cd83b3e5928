//! Numbers as people read them: durations, bytes, tokens, prices, times of day.

/// Bytes, in steps of a thousand: `980 B`, `48 kB`, `4.1 MB`.
pub fn bytes(count: u64) -> String {
    scaled(count, &["B", "kB", "MB", "GB", "TB"], " ")
}

/// The greatest place in a text up to this one where it can be cut.
pub fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Tokens: `980`, `13.5k`, `2.1M`.
pub fn tokens(count: u64) -> String {
    scaled(count, &["", "k", "M", "G", "T"], "")
}

fn scaled(count: u64, units: &[&str; 5], space: &str) -> String {
    if count < 1_000 {
        return format!("{count}{space}{}", units[0]).trim_end().to_owned();
    }
    let mut scale = 1_000_u64;
    let mut unit = 1;
    // 999.6 would be shown as 1000.
    while count >= scale.saturating_mul(1_000) - scale / 2 && unit < units.len() - 1 {
        scale *= 1_000;
        unit += 1;
    }
    let tenths = (u128::from(count) * 10 + u128::from(scale) / 2) / u128::from(scale);
    if tenths < 200 {
        format!("{}.{}{space}{}", tenths / 10, tenths % 10, units[unit])
    } else {
        format!("{}{space}{}", (tenths + 5) / 10, units[unit])
    }
}

/// How long something took: `4 ms`, `8.3 s`, `41.2 s`, `3:41`, `2 h 05`.
pub fn took(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..100_000 => format!("{}.{} s", millis / 1_000, millis / 100 % 10),
        _ => elapsed(millis),
    }
}

/// How long something has been going on, in whole seconds: `0:07`, `1:07`, `2 h 05`, `3 d 4 h`.
pub fn elapsed(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02}", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A price: `$0.03`, `$1.20`, and below a cent `<$0.01`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no bill is that long")]
pub fn dollars(amount: f64) -> String {
    if amount > 0.0 && amount < 0.01 {
        return "<$0.01".to_owned();
    }
    let cents = (amount * 100.0).round() as u64;
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// A length to a tenth, without the library's code for exact fractions: `12`, `3.5`.
#[expect(clippy::cast_possible_truncation, reason = "a place on a screen")]
pub fn tenths(length: f64) -> String {
    let tenths = (length * 10.0).round() as i64;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, rest) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// A part as a whole percentage.
pub fn percent(part: u64, whole: u64) -> u64 {
    (part * 100 + whole / 2).checked_div(whole).unwrap_or(0)
}

/// Lower case in every alphabet. In the page the browser does it, whose table need not be loaded.
pub fn lowercase(text: &str) -> String {
    if cfg!(target_arch = "wasm32") {
        js_sys::JsString::from(text).to_lower_case().into()
    } else {
        text.to_lowercase()
    }
}

/// A count with its noun: `1 result`, `2 results`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A number with thousands set apart: `12,408`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_prices_are_rounded() {
        for (length, text) in [(12.0, "12"), (3.46, "3.5"), (-0.34, "-0.3"), (-0.04, "0"), (0.96, "1")] {
            assert_eq!(tenths(length), text);
        }
        for (amount, text) in
            [(0.0, "$0.00"), (0.004, "<$0.01"), (0.01, "$0.01"), (1.2, "$1.20"), (12.999, "$13.00")]
        {
            assert_eq!(dollars(amount), text);
        }
    }

    #[test]
    fn bytes_and_tokens() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_960, "2.0 kB"),
            (48_211, "48 kB"),
            (999_400, "999 kB"),
            (999_600, "1.0 MB"),
            (4_100_000, "4.1 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(tokens(980), "980");
        assert_eq!(tokens(13_514), "13.5k");
        assert_eq!(tokens(2_100_000), "2.1M");
    }

    #[test]
    fn durations() {
        for (n, text) in [(4, "4 ms"), (8_349, "8.3 s"), (41_200, "41.2 s"), (221_000, "3:41")] {
            assert_eq!(took(n), text);
        }
        for (n, text) in [
            (0, "0:00"),
            (7_900, "0:07"),
            (67_000, "1:07"),
            (3_599_999, "59:59"),
            (7_500_000, "2 h 05"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(elapsed(n), text);
        }
    }

    #[test]
    fn prices_and_counts() {
        assert_eq!(dollars(0.0), "$0.00");
        assert_eq!(dollars(0.004), "<$0.01");
        assert_eq!(dollars(1.2), "$1.20");
        assert_eq!(percent(91, 100), 91);
        assert_eq!(percent(1, 0), 0);
        assert_eq!(count(1, "result"), "1 result");
        assert_eq!(count(2, "result"), "2 results");
        assert_eq!(grouped(12_408), "12,408");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(7), "7");
    }
}
