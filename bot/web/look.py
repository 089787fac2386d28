"""How the playground looks: theme, style sheet and the page's icon. System fonts only, nothing from the internet."""

from __future__ import annotations

from bot.web.gradio_import import gr

THEME = gr.themes.Soft(
    primary_hue=gr.themes.colors.teal,
    secondary_hue=gr.themes.colors.teal,
    neutral_hue=gr.themes.colors.stone,
    radius_size=gr.themes.sizes.radius_lg,
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
).set(  # dark enough for white text on it
    checkbox_label_background_fill_selected="*primary_700",
    checkbox_label_background_fill_selected_dark="*primary_700",
)

HEAD = r"""
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'>
<text y='.9em' font-size='90'>🎭</text></svg>">
<script>
  // The copy button gives a message as the page got it; what is copied is what was written.
  const clipboard = navigator.clipboard, write = clipboard?.writeText.bind(clipboard);
  if (write) clipboard.writeText = text => write(text.replace(/^<small>.*?<\/small>\n\n/, "")
    .replace(/&#00(\d+);/g, (_, code) => String.fromCodePoint(code)));
</script>
"""

CSS = """
.gradio-container > .main { padding: 0 !important; }
.gradio-container main { width: 100%; max-width: 60rem; min-width: 0; margin: 0 auto !important;
                         padding: .75rem 1rem !important; }
.gradio-container main .column { width: 100%; min-width: 0 !important; }
#page { gap: .6rem; height: calc(100dvh - 1.5rem); min-height: 32rem; flex-wrap: nowrap; }
#page > * { flex-shrink: 0; min-width: 0; max-width: 100%; }
#title h1 { font-size: 1.35rem; margin: 0; }
#model-note { font-size: .85rem; padding: .45rem .8rem; border-radius: .6rem;
             background: var(--color-accent-soft); color: var(--body-text-color); }
#model-note p, #about p, #status p { margin: 0; }
#model-note code { overflow-wrap: anywhere; }
.form:has(#picker), #picker { border: 0; padding: 0; background: none; box-shadow: none; overflow: visible; }
#picker .wrap { gap: .4rem; padding: 3px; }
#picker label { border-radius: 999px; padding: .35rem .8rem; min-height: 2.25rem; cursor: pointer; }
#picker input { position: absolute; opacity: 0; }
#picker label:has(input:focus-visible) { outline: 2px solid var(--color-accent); outline-offset: 1px; }
#picker label span { margin: 0; }
#about, #status, #links { font-size: .9rem; }
#links p { margin: 0; }
#about > *, #status > * { opacity: .8; }
#chat { flex: 1 1 0; min-height: 14rem; border: 1px solid var(--border-color-primary); }
#answers { gap: .4rem; flex-wrap: wrap; align-items: center; }
#answers button { flex: 0 0 auto; min-width: 0; width: auto; padding: .35rem .7rem; white-space: nowrap; }
#place { flex: 0 0 auto; width: auto !important; font-variant-numeric: tabular-nums; }
#place p { margin: 0; font-size: .9rem; }
.form:has(#better) { border: 1px solid var(--border-color-primary); }
#better button { background: #0f766e; color: #fff; border-radius: .6rem; padding: .35rem .9rem; width: auto; }
.form:has(#message) { border: 1px solid var(--border-color-primary); }
#message button, #duel-question button
  { background: #0f766e; color: #fff; border-radius: .6rem; padding: .35rem .9rem; width: auto; }
#chat small { opacity: .75; font-weight: 600; }
#chat [data-testid=user] p, #chat .placeholder-content p, #about p { white-space: pre-wrap; overflow-wrap: anywhere; }
#chat .placeholder-content { padding: 1rem; }
#chat .examples { grid-template-columns: 1fr 1fr; }
#chat button.example { border: 1px solid var(--border-color-primary); border-radius: .75rem; padding: .6rem .9rem; }
#chat button.example:hover, #chat button.example:focus-visible { border-color: var(--color-accent); }
footer { display: none !important; }
@media (max-width: 40rem) {
  .gradio-container main { padding: .4rem .6rem !important; }
  #page { height: calc(100dvh - .8rem); }
  #picker { overflow-x: auto; scrollbar-width: none; }
  #picker .wrap { flex-wrap: nowrap; width: max-content; }
  #about { max-height: 4.5em; overflow-y: auto; }
  #chat .examples { padding: 0 .5rem; }
}
"""
