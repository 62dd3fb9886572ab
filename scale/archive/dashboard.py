"""Dask's dashboard, made when it is first looked at: bokeh takes as long to import as Dask itself.

`run.local_cluster` names this module among the scheduler's routes.
"""

from __future__ import annotations

from distributed.http.utils import RequestHandler


class Dashboard(RequestHandler):
    """Adds the dashboard's pages to the scheduler's, and leads to them."""

    def get(self) -> None:
        """Answer a visit."""
        application = self.server.http_application
        if not application.applications:
            try:
                from distributed.dashboard.scheduler import connect
            except ImportError:
                self.write("The dashboard needs bokeh; install it with `pip install bokeh`.")
                return
            connect(application, self.server.http_server, self.server)
        self.redirect("/status")


routes: list[tuple[str, type[RequestHandler], dict[str, object]]] = [("/", Dashboard, {})]
