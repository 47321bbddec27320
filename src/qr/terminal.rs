//! Renders a QR code for a terminal.

use core::fmt;

use super::Qr;

/// A QR code as lines of text, surrounded by the four-module quiet zone that readers need.
#[derive(Clone, Copy)]
pub struct Terminal<'a> {
    qr: &'a Qr,
    ink: Ink,
}

impl<'a> Terminal<'a> {
    pub(super) const fn new(qr: &'a Qr) -> Self {
        Self { qr, ink: Ink::Colors }
    }
}

#[derive(Clone, Copy)]
enum Ink {
    Colors,
    Blocks { dark: bool },
}

impl Terminal<'_> {
    /// Renders the code without colors, for a terminal with light text on a dark background. Block characters show the
    /// light modules, and spaces show the dark modules.
    ///
    /// Use it if `NO_COLOR` is set or the output is not a terminal. On a light background, this code would appear
    /// inverted, so use [`plain_on_light`](Self::plain_on_light) there.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let qr = KeyUri::totp("Example", "al", &Secret::generate())?.qr()?;
    /// if std::env::var_os("NO_COLOR").is_some() {
    ///     println!("{}", qr.terminal().plain_on_dark());
    /// } else {
    ///     println!("{}", qr.terminal());
    /// }
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    #[must_use]
    pub const fn plain_on_dark(mut self) -> Self {
        self.ink = Ink::Blocks { dark: false };
        self
    }

    /// Renders the code without colors, for a terminal with dark text on a light background. Block characters show the
    /// dark modules, and spaces show the light modules.
    ///
    /// ```
    /// use keyfob::Qr;
    ///
    /// let drawn = Qr::new("otpauth://...")?.terminal().plain_on_light().to_string();
    /// assert!(drawn.starts_with(' ')); // the border is blank
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    #[must_use]
    pub const fn plain_on_light(mut self) -> Self {
        self.ink = Ink::Blocks { dark: true };
        self
    }
}

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.qr.side();
        for row in (0..side).step_by(2) {
            let mut last = None;
            for column in 0..side {
                let halves = (self.qr.is_dark(row, column), self.qr.is_dark(row + 1, column));
                match self.ink {
                    Ink::Colors => {
                        let color = |dark| if dark { 16 } else { 231 };
                        if last.replace(halves) != Some(halves) {
                            write!(f, "\x1b[38;5;{};48;5;{}m", color(halves.0), color(halves.1))?;
                        }
                        f.write_str("▀")?;
                    }
                    Ink::Blocks { dark } => f.write_str(match (halves.0 == dark, halves.1 == dark) {
                        (true, true) => "█",
                        (true, false) => "▀",
                        (false, true) => "▄",
                        (false, false) => " ",
                    })?,
                }
            }
            f.write_str(if matches!(self.ink, Ink::Colors) { "\x1b[0m\n" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("qr", self.qr).finish_non_exhaustive()
    }
}
