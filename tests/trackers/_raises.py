"A module that cannot be loaded"
raise ImportError('half installed')
