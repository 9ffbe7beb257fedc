def main():
    import hello_c
    print(hello_c.add(2, 3))
