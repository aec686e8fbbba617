"""The demo in the browser: a small server and a hand-written page.

Why not Gradio or the like: its picture editor draws in free colours and has no palette of named
classes, no fill and no noise to choose by region; it would bring some forty packages and asks hosts
outside for its version and fonts. The page here is plain HTML, CSS and JavaScript that travels in
this package and loads nothing from elsewhere. The server is Starlette under uvicorn, two small
packages that speak HTTP so that nothing here has to.

`interactive` generates, `request` reads what is asked, `routes` answers each path, `responses` is
how, `guard` checks who asks, `limits` keeps it standing, `protocol` ends connections that take too
long, `server` puts them together, `openapi` describes it to programs, `examples` has the first
label maps, `serve` runs it all, and `page/` is what people see.
"""
