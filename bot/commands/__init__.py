"""The commands of `personas`, each imported only when it runs."""
