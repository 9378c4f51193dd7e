//! The environment's description of the terminal, as an argument.

use crate::theme::Palette;
use crate::{Background, Charset, ColorChoice};

/// The variables that matter; an empty one counts as unset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) no_color: Option<String>,
    pub(crate) term: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) colorfgbg: Option<String>,
}

impl Environment {
    /// Looks variables up, in the order that POSIX gives the locale's.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            no_color: set("NO_COLOR"),
            term: set("TERM"),
            locale: set("LC_ALL")
                .or_else(|| set("LC_CTYPE"))
                .or_else(|| set("LANG")),
            colorfgbg: set("COLORFGBG"),
        }
    }

    pub(crate) fn palette(&self, color: ColorChoice, background: Background) -> Palette {
        let colored = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => self.no_color.is_none() && self.term.as_deref() != Some("dumb"),
        };
        match background {
            _ if !colored => Palette::Monochrome,
            Background::Light => Palette::Light,
            Background::Dark => Palette::Dark,
            Background::Auto if self.is_light() => Palette::Light,
            Background::Auto => Palette::Dark,
        }
    }

    pub(crate) fn ascii(&self, charset: Charset) -> bool {
        match charset {
            Charset::Ascii => true,
            Charset::Unicode => false,
            Charset::Auto => {
                let locale = self
                    .locale
                    .as_deref()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let utf8 = locale.contains("utf-8") || locale.contains("utf8");
                !utf8 || matches!(self.term.as_deref(), Some("linux" | "dumb"))
            }
        }
    }

    /// `COLORFGBG` is "foreground;background" in the sixteen colours, of which 7 and 15 are light.
    fn is_light(&self) -> bool {
        let background = self.colorfgbg.as_deref().and_then(|v| v.rsplit(';').next());
        matches!(background, Some("7" | "15"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        Environment::read(find)
    }

    #[test]
    fn flag_overrides_no_color_unless_empty() {
        let palette = |variables, color| environment(variables).palette(color, Background::Auto);
        assert_eq!(palette(&[], ColorChoice::Auto), Palette::Dark);
        assert_eq!(
            palette(&[("NO_COLOR", "")], ColorChoice::Auto),
            Palette::Dark
        );
        assert_eq!(
            palette(&[("NO_COLOR", "0")], ColorChoice::Auto),
            Palette::Monochrome
        );
        assert_eq!(
            palette(&[("TERM", "dumb")], ColorChoice::Auto),
            Palette::Monochrome
        );
        assert_eq!(
            palette(&[("NO_COLOR", "1")], ColorChoice::Always),
            Palette::Dark
        );
        assert_eq!(palette(&[], ColorChoice::Never), Palette::Monochrome);
    }

    #[test]
    fn light_background_by_variable_or_option() {
        let light = environment(&[("COLORFGBG", "0;default;15")]);
        assert_eq!(
            light.palette(ColorChoice::Auto, Background::Auto),
            Palette::Light
        );
        assert_eq!(
            light.palette(ColorChoice::Auto, Background::Dark),
            Palette::Dark
        );
        assert_eq!(
            environment(&[]).palette(ColorChoice::Auto, Background::Light),
            Palette::Light
        );
    }

    #[test]
    fn the_first_locale_set_decides_the_charset() {
        let ascii = |variables| environment(variables).ascii(Charset::Auto);
        assert!(ascii(&[]));
        assert!(!ascii(&[("LANG", "C.UTF-8")]));
        assert!(!ascii(&[("LC_CTYPE", "de_DE.utf8"), ("LANG", "C")]));
        assert!(ascii(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!ascii(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")]));
        assert!(ascii(&[("LANG", "en_US.UTF-8"), ("TERM", "linux")]));
        assert!(!environment(&[]).ascii(Charset::Unicode));
    }
}
