import driver


def handler(event, context):
    driver.open_page(event["URI"])
