"""Django's admin on a free port of loopback, with one user: `django_admin.py FOLDER USER PASSWORD`."""

import json
import pathlib
import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command

folder, user, password = sys.argv[1:]
settings.configure(
    ALLOWED_HOSTS=[".localhost"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": pathlib.Path(folder) / "django.sqlite3",
            "OPTIONS": {"timeout": 20},
        }
    },
    DEBUG=True,  # which serves the admin's own files
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    STATIC_URL="/static/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """Chromium keeps connections open: each has a thread."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """One that does not log each request."""

    def log_message(self, *_: object) -> None:
        pass


call_command("migrate", verbosity=0)
User.objects.create_superuser(user, password=password)
application = StaticFilesHandler(get_wsgi_application())
with make_server("127.0.0.1", 0, application, ThreadingServer, Handler) as server:
    print(json.dumps({"event": "listening", "port": server.server_port}), flush=True)
    server.serve_forever()
