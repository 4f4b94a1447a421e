"""A Django project in one file: the admin with its static files, and a view that takes an upload.

`configure` is called once in a process: Django's settings are global.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from wsgiref.types import WSGIApplication

import django
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

USER, PASSWORD = "keeper", "correct horse battery staple"
MEMORY_BYTES_MAX = 2_500_000
"""An upload beyond this is kept in a file by Django itself."""


def configure(folder: Path) -> WSGIApplication:
    """The application, its database in `folder`, migrated, with one user of the admin."""
    settings.configure(
        DEBUG=True,
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        STATIC_URL="/static/",
        USE_TZ=True,
        LOGGING_CONFIG=None,
        FILE_UPLOAD_MAX_MEMORY_SIZE=MEMORY_BYTES_MAX,
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick, for a test
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
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
    call_command("migrate", verbosity=0)
    # These import models, which there are none of before the set-up.
    from django.contrib.auth.models import User
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    User.objects.create_superuser(USER, password=PASSWORD)
    connections.close_all()
    urlpatterns.append(path("admin/", admin.site.urls))
    application: WSGIApplication = StaticFilesHandler(get_wsgi_application())
    return application


def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for piece in file.chunks():
        digest.update(piece)
    return JsonResponse(
        {
            "kept": type(file).__name__,
            "size": file.size,
            "digest": digest.hexdigest(),
            "note": request.POST["note"],
        }
    )


def stream(request: HttpRequest) -> HttpResponse:
    def pieces() -> Iterator[str]:
        for number in range(3):
            yield f"{number}\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse(Path(__file__).open("rb"), content_type="text/x-python")


urlpatterns = [path("upload", csrf_exempt(upload)), path("stream", stream), path("file", file)]
