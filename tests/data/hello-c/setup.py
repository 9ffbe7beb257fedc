from setuptools import Extension, setup
setup(name="hello-c", version="1.0", ext_modules=[Extension("hello_c", ["hello_c.c"])],
      py_modules=["hello_cli"], entry_points={"console_scripts": ["hello-c = hello_cli:main"]})
