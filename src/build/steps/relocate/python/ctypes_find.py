        def _find_in_closure(name):
            # Only what the closure carries: its loader does not look anywhere else.
            folder = os.path.join(sys.base_prefix, 'lib')
            wanted = re.compile(r'lib%s\.so((?:\.\d+)*)' % re.escape(name))
            try:
                found = [m for m in map(wanted.fullmatch, os.listdir(folder)) if m]
            except OSError:
                return None
            newest = max(found, default=None,
                         key=lambda m: [int(part) for part in m[1].split('.')[1:]])
            return newest and newest[0]

