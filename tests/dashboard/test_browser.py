"""The pages in a real browser: what only a browser can tell."""

import pytest
from dashboard_space import FAILURE, TOKEN, find

pytest.importorskip("signac_dashboard")


@pytest.fixture
def page(browser, address):
    """A logged-in browser; at the end, nothing may have gone wrong on its console."""
    browser.delete_all_cookies()
    browser.get(f"{address}/login?token={TOKEN}")
    browser.get_log("browser")
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def all_of(page, css):
    return page.find_elements("css selector", css)


def wait(page, css, address=""):
    """What matches on the page whose address holds the given words, once there is something."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 30).until(lambda driver: address in driver.current_url and all_of(driver, css))


def broken_images(page):
    """Addresses of images that do not show, when all have been asked for."""
    page.execute_script("document.querySelectorAll('img').forEach((one) => { one.loading = 'eager'; });")
    wait_script = """
        const done = arguments[0], images = [...document.images];
        Promise.all(images.map((one) => one.complete || new Promise((next) => { one.onload = one.onerror = next; })))
            .then(() => done(images.filter((one) => one.naturalWidth === 0).map((one) => one.src)));
    """
    return page.execute_async_script(wait_script)


def scrolls_sideways(page):
    return page.execute_script("return document.documentElement.scrollWidth > window.innerWidth")


def test_the_project_page_shows_the_map_and_every_job(page, address):
    page.get(f"{address}/project/")
    wait(page, ".jobtable tbody tr")
    assert len(all_of(page, ".jobtable tbody tr")) == 6  # the foreign job is none of ours
    assert len(all_of(page, "figure img")) == 1
    assert broken_images(page) == []
    assert not scrolls_sideways(page)


def rows_of(page):
    return [row.text.split() for row in all_of(page, ".jobtable tbody tr")]


def test_the_map_is_as_wide_as_the_page_and_what_is_left_out_leads_to_its_reasons(page, address):
    page.get(f"{address}/project/#state=failed")
    wait(page, ".jobtable tbody tr")
    card, table = (page.find_element("id", name) for name in ("card-phase-map", "card-all-jobs"))
    assert card.size["width"] == table.size["width"]
    assert page.find_element("css selector", "#card-phase-map img").size["width"] > 0.6 * card.size["width"]
    page.find_element("css selector", ".counts a[href='#card-cannot-be-read']").click()
    assert page.current_url.endswith("#card-cannot-be-read")
    assert [row[3] for row in rows_of(page)] == ["failed"]  # the filter of the table stays


def test_the_table_is_filtered_by_structure_and_the_address_keeps_it(page, address, space):
    from selenium.webdriver.support.ui import Select

    page.get(f"{address}/project/")
    wait(page, ".jobtable tbody tr")
    Select(page.find_element("css selector", "select[data-filter=structure]")).select_by_value("NaCl")
    assert [row[0] for row in rows_of(page)] == [find(space, initial="NaCl").id[:8]]
    assert page.find_element("css selector", ".jobtable output").text == "1 of 6 jobs"
    page.refresh()
    wait(page, ".jobtable tbody tr")
    assert [row[1] for row in rows_of(page)] == ["NaCl"]
    page.find_element("css selector", ".legend a[href='#structure=ABO3']").click()  # the summary leads to its jobs
    assert [row[1] for row in rows_of(page)] == ["ABO3"]


def test_the_table_is_filtered_by_state_and_by_words(page, address):
    page.get(f"{address}/project/#state=failed")
    wait(page, ".jobtable tbody tr")
    assert [row[3] for row in rows_of(page)] == ["failed"]
    page.get(f"{address}/project/#state=")
    page.find_element("css selector", "[data-words]").send_keys("fluid waiting")
    assert [row[3] for row in rows_of(page)] == ["waiting"]
    words = page.find_element("css selector", "[data-words]")
    words.clear()
    words.send_keys("100 %")  # as it is shown, not as it is stored
    assert [row[1] for row in rows_of(page)] == ["NaCl", "ABO3"]


def test_the_table_is_sorted_both_ways_with_empty_values_last(page, address):
    page.get(f"{address}/project/")
    wait(page, ".jobtable tbody tr")
    (button,) = [one for one in all_of(page, ".jobtable th button") if one.text.startswith("structure")]
    button.click()
    assert [row[1] for row in rows_of(page)] == ["ABO3", "NaCl", "–", "–", "–", "–"]
    button.click()
    assert [row[1] for row in rows_of(page)] == ["NaCl", "ABO3", "–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("values", "pictures"),
    [
        ({"initial": "ABO3", "replicate": 0}, 4),  # structure, order, log, scattering
        ({"initial": "NaCl"}, 3),
        ({"evaporation_rate": 60.0}, 1),  # the log of a job that runs
        ({"evaporation_rate": 20.0}, 0),
        ({"evaporation_rate": 8.0}, 0),
        ({"initial": "ABO3", "replicate": 1}, 0),
    ],
    ids=["finished", "without scattering", "running", "failed", "waiting", "damaged"],
)
def test_every_job_page_shows_its_pictures(page, address, space, values, pictures):
    page.get(f"{address}/jobs/{find(space, **values).id}")
    assert len(all_of(page, "figure img")) == pictures
    assert broken_images(page) == []
    assert not scrolls_sideways(page)


def test_the_error_of_a_failed_job_is_in_plain_sight(page, address, space):
    page.get(f"{address}/jobs/{find(space, evaporation_rate=20.0).id}")
    alert = page.find_element("css selector", "[role=alert]")
    assert FAILURE in alert.text
    assert alert.location["y"] + alert.size["height"] < 500  # no scrolling


def test_searching_a_structure_finds_the_right_jobs(page, address, space):
    page.get(f"{address}/jobs/")
    assert broken_images(page) == []
    box = page.find_element("css selector", "input[name=q]")
    box.send_keys("doc.structure ABO3")
    box.submit()
    found = [link.get_attribute("href").rsplit("/", 1)[1] for link in wait(page, "a.tile", "/search?")]
    assert found == [find(space, initial="ABO3", replicate=0).id]


def test_the_navigator_walks_along_a_parameter(page, address, space):
    page.get(f"{address}/jobs/{find(space, evaporation_rate=8.0).id}")
    page.find_element("link text", "20").click()
    assert page.current_url.endswith(find(space, evaporation_rate=20.0).id)


def test_on_a_phone_nothing_sticks_out(page, address, space):
    job = find(space, initial="ABO3", replicate=0).id
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        for path in ("/project/", "/jobs/", f"/jobs/{job}"):
            page.get(address + path)
            assert page.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_stranger_gets_the_login_page_and_the_token_opens_the_page_that_was_asked_for(browser, address, space):
    browser.delete_all_cookies()
    browser.get(f"{address}/jobs/")
    assert all_of(browser, "a.tile") == []
    box = browser.find_element("css selector", "input[name=token]")
    box.send_keys("wrong-token")
    box.submit()
    assert "Incorrect token" in wait(browser, ".alert")[0].text
    browser.get(f"{address}/jobs/")
    box = browser.find_element("css selector", "input[name=token]")
    box.send_keys(TOKEN)
    box.submit()
    assert len(wait(browser, "a.tile")) == 6
    browser.get_log("browser")  # the refused pages are on the console
