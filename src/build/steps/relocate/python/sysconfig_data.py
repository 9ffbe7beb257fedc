

def _place():
    import sys
    for name, value in build_time_vars.items():
        if isinstance(value, str) and '{closure}' in value:
            build_time_vars[name] = value.replace('{closure}', sys.base_prefix)


_place()
del _place
