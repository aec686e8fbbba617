"""Generating in the browser: a small server and a hand-written page.

Why not Gradio or the like: its picture editor generates in free colours and has no palette of named
classes, no fill and no noise to choose by region; it would bring some forty packages and asks hosts
outside for its version and fonts. The page here is plain HTML, CSS and JavaScript that travels in
this package and loads nothing from elsewhere, and the server is Python's own
(`http.server.ThreadingHTTPServer`), so the demo needs no package beside those that training needs.

`generating` generates, `fields` reads what a request asks, `server` answers, `limits` keeps it standing,
`schema` describes it to programs, `examples` has the first pictures, `page/` is what people see.
"""
