//! The document around each page.

use maud::{DOCTYPE, PreEscaped, html};

/// A page to put into the application's layout, with [`Application::layout`](crate::Application::layout).
///
/// ```
/// use keyfob_axum::Page;
///
/// fn layout(page: &Page<'_>) -> String {
///     format!(
///         "<!doctype html><html lang='{}'><head><title>{} - Example</title>{}</head>\
///          <body><nav><a href='/'>Example</a></nav><main>{}</main></body></html>",
///         page.lang(),
///         page.title(),
///         page.head(),
///         page.body()
///     )
/// }
/// ```
#[derive(Debug)]
pub struct Page<'a> {
    pub(crate) lang: &'a str,
    pub(crate) rtl: bool,
    pub(crate) title: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page<'_> {
    /// The language of the page, such as `en`, for the attribute `lang` of the document.
    #[must_use]
    pub fn lang(&self) -> &str {
        self.lang
    }

    /// The direction of the text, `ltr` or `rtl`, for the attribute `dir` of the document.
    #[must_use]
    pub const fn dir(&self) -> &'static str {
        if self.rtl { "rtl" } else { "ltr" }
    }

    /// The title, as HTML.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The elements that the page needs in the document's head: the links to the style sheet and the script.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The content, as HTML: one element with the class `keyfob`, which contains the page's only `h1`. Put it into the
    /// document's `main` element.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// The document for an application without a layout of its own.
pub(crate) fn document(page: &Page<'_>) -> String {
    html! {
        (DOCTYPE)
        html lang=(page.lang) dir=(page.dir()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (PreEscaped(&page.title)) }
                (PreEscaped(&page.head))
            }
            body class="keyfob-alone" {
                main { (PreEscaped(&page.body)) }
            }
        }
    }
    .into_string()
}
