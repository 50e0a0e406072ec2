"""Settings of gunicorn, which reads this file where it is started."""

preload_app = True  # import the service, and make its client, once: before the workers are forked
worker_class = "gthread"
workers = 4
threads = 4
graceful_timeout = 20  # longer than the service's calls, so that a reload lets them end
