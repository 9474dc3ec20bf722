"""`import cyconv` in a fresh interpreter."""


class Import:
    number = 1

    def timeraw_import(self):
        return "import cyconv"
