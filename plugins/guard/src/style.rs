//! Styles that keep an element from being seen.

/// Whether one of these declarations hides what it is on.
pub(crate) fn hides(style: &str) -> bool {
    let is_on_a_ground = declarations(style).any(|(name, value)| is_one_of(name, &["background", "background-color"]) && !is_white(value));
    declarations(style)
        .any(|(name, value)| is_hidden(name, value) || (name.eq_ignore_ascii_case("color") && !is_on_a_ground && is_white(value)))
}

fn declarations(style: &str) -> impl Iterator<Item = (&str, &str)> {
    style.split(';').filter_map(|declaration| declaration.split_once(':')).map(|(name, value)| {
        let value = value.split_once('!').map_or(value, |(value, _)| value);
        (name.trim(), value.trim())
    })
}

fn is_hidden(name: &str, value: &str) -> bool {
    let (number, unit) = quantity(value);
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match () {
        () if is("display") => value.eq_ignore_ascii_case("none"),
        () if is("visibility") => is_one_of(value, &["hidden", "collapse"]),
        () if is("color") => value.eq_ignore_ascii_case("transparent"),
        () if is("opacity") => number.is_some_and(|n| n <= if unit == "%" { 5.0 } else { 0.05 }),
        // A pixel or point is no letter; an `em` is one.
        () if is("font-size") => number.is_some_and(|n| n <= if is_one_of(unit, &["px", "pt"]) { 1.0 } else { 0.05 }),
        () if is("text-indent") => number.is_some_and(|n| n <= -90.0),
        () => false,
    }
}

fn is_white(color: &str) -> bool {
    is_one_of(color, &["white", "#fff", "#ffffff", "transparent", "rgb(255,255,255)", "rgb(255, 255, 255)"])
}

fn is_one_of(value: &str, all: &[&str]) -> bool {
    all.iter().any(|one| value.eq_ignore_ascii_case(one))
}

/// A number and what it counts.
fn quantity(value: &str) -> (Option<f32>, &str) {
    let end = value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(value.len());
    (value[..end].parse().ok(), value[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_hides_or_does_not() {
        for style in [
            "display : NONE",
            "a:b; visibility:hidden !important",
            "opacity:0",
            "opacity:.0",
            "font-size:1px",
            "font-size:0",
            "font-size:0.01em",
            "color:#FFF",
            "color:white;background:white",
            "color:transparent",
            "text-indent:-9999px",
        ] {
            assert!(hides(style), "{style}");
        }
        for style in [
            "",
            "background-color:white",
            "color:#fff000",
            "font-size:0.9em",
            "font-size:1em",
            "opacity:0.5",
            "color:white;background:navy",
            "display:block",
            "text-indent:-1em",
            "x-display:none",
        ] {
            assert!(!hides(style), "{style}");
        }
    }
}
