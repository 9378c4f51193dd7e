//! The keys. One table feeds dispatch, the footer's hints, the help and the README.
//!
//! A live story and a log that is played share most keys; some belong to one of them.

use ratatui::crossterm::event::KeyCode::{
    self, BackTab, Char, Down, End, Enter, Left, PageDown, PageUp, Right, Tab, Up,
};
use ratatui::crossterm::event::{KeyEvent, KeyModifiers};

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyEffect {
    /// Go on to the next chapter, or leave when the story has ended.
    Advance,
    /// Run the chapter's fault again.
    Rerun,
    /// Play the encore.
    Encore,
    /// Focus the next panel.
    NextPanel,
    /// Focus the panel before.
    PreviousPanel,
    /// Scroll the focused panel up by a line.
    Up,
    /// Scroll the focused panel down by a line.
    Down,
    /// Scroll the focused panel up by a page.
    PageUp,
    /// Scroll the focused panel down by a page.
    PageDown,
    /// Show the focused panel alone, or all of them again.
    Zoom,
    /// Show or hide the help.
    Help,
    /// Show or hide the second level of a text.
    Details,
    /// Show or hide the narration of the next chapter.
    Ahead,
    /// Stop a log's time, or let it go on.
    Pause,
    /// Play a log faster.
    Faster,
    /// Play a log slower.
    Slower,
    /// Jump to the next chapter of a log.
    NextChapter,
    /// Jump to the beginning of the chapter, or to the chapter before.
    PreviousChapter,
    /// Jump to the end of a log.
    End,
    /// Draw everything anew.
    Redraw,
    /// Heal and leave.
    Quit,
    /// Heal and leave; the second time leave at once.
    Interrupt,
}

/// The source of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyMode {
    /// A story that is being played.
    Live,
    /// A log.
    Log,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct KeyBinding {
    keys: &'static [KeyCode],
    /// The modifiers of all its keys.
    modifiers: KeyModifiers,
    pub(crate) press: KeyEffect,
    /// The only mode in which it has an effect; `None` for both.
    pub(crate) mode: Option<KeyMode>,
    /// A word for the footer; the chapter has a better one for [`KeyEffect::Advance`]. Empty for
    /// none.
    pub(crate) hint: &'static str,
    /// The footer always has room for it.
    pub(crate) essential: bool,
    pub(crate) help: &'static str,
}

/// All keys, in the order in which help and README list them.
pub(crate) const BINDINGS: &[KeyBinding] = &[
    live(
        &[Char(' '), Enter, Right],
        KeyEffect::Advance,
        "go on to the next chapter; after the end, leave",
    )
    .hint("go on")
    .essential(),
    live(
        &[Char('r')],
        KeyEffect::Rerun,
        "run this chapter's fault again",
    )
    .hint("again"),
    live(
        &[Char('a')],
        KeyEffect::Encore,
        "play the encore, after the last chapter",
    )
    .hint("encore"),
    log(
        &[Char(' ')],
        KeyEffect::Pause,
        "stop the time, or let it go on",
    )
    .hint("pause")
    .essential(),
    log(&[Char('+'), Char('=')], KeyEffect::Faster, "play faster").hint("faster"),
    log(&[Char('-')], KeyEffect::Slower, "play slower").hint("slower"),
    log(
        &[Right, Char('n')],
        KeyEffect::NextChapter,
        "jump to the next chapter",
    )
    .hint("next"),
    log(
        &[Left, Char('p')],
        KeyEffect::PreviousChapter,
        "jump to the beginning of the chapter, then to the chapter before",
    )
    .hint("back"),
    log(&[End], KeyEffect::End, "jump to the end"),
    both(
        &[Char('e')],
        KeyEffect::Details,
        "show or hide the evidence of a diagnosis",
    )
    .hint("evidence"),
    live(
        &[Char('n')],
        KeyEffect::Ahead,
        "show or hide the narration of the next chapter",
    ),
    both(&[Tab], KeyEffect::NextPanel, "focus the next panel").hint("panel"),
    both(
        &[BackTab],
        KeyEffect::PreviousPanel,
        "focus the panel before",
    ),
    both(
        &[Up],
        KeyEffect::Up,
        "scroll the focused panel, or show the chart before",
    ),
    both(
        &[Down],
        KeyEffect::Down,
        "scroll the focused panel, or show the next chart",
    ),
    both(
        &[PageUp],
        KeyEffect::PageUp,
        "scroll the focused panel by a page",
    ),
    both(
        &[PageDown],
        KeyEffect::PageDown,
        "scroll the focused panel by a page",
    ),
    both(
        &[Char('z')],
        KeyEffect::Zoom,
        "show the focused panel alone, or all of them again",
    )
    .hint("zoom"),
    both(&[Char('?')], KeyEffect::Help, "show or hide the help")
        .hint("help")
        .essential(),
    both(&[Char('l')], KeyEffect::Redraw, "draw the screen anew").with_control(),
    both(&[Char('q')], KeyEffect::Quit, "heal, then leave")
        .hint("quit")
        .essential(),
    both(
        &[Char('c')],
        KeyEffect::Interrupt,
        "the same; a second time, leave at once",
    )
    .with_control(),
];

const fn both(keys: &'static [KeyCode], press: KeyEffect, help: &'static str) -> KeyBinding {
    KeyBinding {
        keys,
        modifiers: KeyModifiers::NONE,
        press,
        mode: None,
        hint: "",
        essential: false,
        help,
    }
}

const fn live(keys: &'static [KeyCode], press: KeyEffect, help: &'static str) -> KeyBinding {
    KeyBinding {
        mode: Some(KeyMode::Live),
        ..both(keys, press, help)
    }
}

const fn log(keys: &'static [KeyCode], press: KeyEffect, help: &'static str) -> KeyBinding {
    KeyBinding {
        mode: Some(KeyMode::Log),
        ..both(keys, press, help)
    }
}

impl KeyEffect {
    /// The effect of a key, if it has one.
    pub(crate) fn of(event: KeyEvent, mode: KeyMode) -> Option<Self> {
        // Shift is part of some of the characters themselves, as of "?".
        let modifiers = event.modifiers - KeyModifiers::SHIFT;
        BINDINGS
            .iter()
            .filter(|b| b.is_for(mode) && b.modifiers == modifiers)
            .find(|b| b.keys.contains(&event.code))
            .map(|b| b.press)
    }
}

impl KeyBinding {
    const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    const fn essential(self) -> Self {
        Self {
            essential: true,
            ..self
        }
    }

    const fn with_control(self) -> Self {
        Self {
            modifiers: KeyModifiers::CONTROL,
            ..self
        }
    }

    /// Whether it has an effect in a mode.
    pub(crate) fn is_for(&self, mode: KeyMode) -> bool {
        self.mode.is_none_or(|only| only == mode)
    }

    /// The names of its keys, the usual one first.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |code: &KeyCode| match code {
            Char(' ') => "SPACE".into(),
            Char(letter) if self.modifiers == KeyModifiers::CONTROL => {
                format!("Ctrl-{}", letter.to_ascii_uppercase())
            }
            Char(letter) => letter.to_string(),
            BackTab => "Shift-Tab".into(),
            other => format!("{other:?}"),
        };
        self.keys.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for mode in [KeyMode::Live, KeyMode::Log] {
            let bound = BINDINGS.iter().filter(|b| b.is_for(mode));
            let keys: Vec<_> = bound
                .flat_map(|b| b.keys.iter().map(|key| (key, b.modifiers)))
                .collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(!keys[..i].contains(key), "{key:?} in {mode:?}");
            }
        }
    }

    #[test]
    fn modifiers_distinguish_keys() {
        let press = |code, modifiers| KeyEffect::of(KeyEvent::new(code, modifiers), KeyMode::Live);
        assert_eq!(
            press(Char('c'), KeyModifiers::CONTROL),
            Some(KeyEffect::Interrupt)
        );
        assert_eq!(press(Char('c'), KeyModifiers::NONE), None);
        assert_eq!(press(Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(press(Char('?'), KeyModifiers::SHIFT), Some(KeyEffect::Help));
        assert_eq!(
            press(BackTab, KeyModifiers::SHIFT),
            Some(KeyEffect::PreviousPanel)
        );
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let mut table = String::from("| key | effect | in |\n|---|---|---|\n");
        for binding in BINDINGS {
            let place = match binding.mode {
                Some(KeyMode::Live) => "a live story",
                Some(KeyMode::Log) => "a log",
                None => "both",
            };
            table.push_str(&format!(
                "| {} | {} | {place} |\n",
                binding.names().join(", "),
                binding.help
            ));
        }
        let readme = include_str!("../README.md");
        assert!(
            readme.contains(&table),
            "the README's table of keys should be:\n{table}"
        );
    }
}
