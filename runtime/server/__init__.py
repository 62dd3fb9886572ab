"""The HTTP server: a Flask application, its routes, and what carries requests to them.

Others use `app.create_app` (the application), `wire` (bodies and answers), `feed` (a live signal
on the page) and `one_process` (serving without gunicorn); a route is one file in `routes`.
"""
