"""
The command lines of the server and the client, and what ``--help`` displays of them.

``bore`` and the twistd plugins share them. An option takes its default from the field of the settings that it sets.
"""
