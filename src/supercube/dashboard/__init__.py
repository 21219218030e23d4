"""The data space in a browser: ``python dashboard.py run``.

``command`` is its command line, ``app`` the signac-dashboard application, ``views`` its pages and ``modules`` their
cards. The others say what is on them and know nothing of the web. Needs the extra ``dashboard``.
"""
