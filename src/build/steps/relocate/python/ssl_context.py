    def set_default_verify_paths(self):
        super().set_default_verify_paths()
        for path in _ca_bundles():
            try:
                return self.load_verify_locations(path)
            except (SSLError, OSError):
                continue

