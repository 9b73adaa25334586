"""A template of a stack's tree: the root, or a nested application with a local template.

A nested application takes values of its parent as parameters, and the parent reads its outputs. So each side evaluates
a value when the other asks for it. CloudFormation does the same with whole resources, and rejects the same circles.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local_engine.template.documents import read_template_file
from local_engine.template.intrinsics import APPLICATION, Evaluator, IntrinsicError, write_text
from local_engine.template.parameters import read_parameters
from local_engine.template.stack import Resource, TemplateError
from local_engine.template.translation import translate_cached

_SAM_APPLICATION = "AWS::Serverless::Application"


class NestedTemplate:
    """A template with values for its parameters, and the templates below it."""

    def __init__(
        self,
        path: Path,
        given: Mapping[str, str],
        project: Path,
        sources: list[Path],
        parents: "tuple[tuple[str, Path], ...]" = (),
    ) -> None:
        """Read and translate a template.

        Args:
            path: the template's file.
            given: values for its parameters.
            project: the folder of the root template.
            sources: gets the path of each file that is read.
            parents: logical ID of each application that leads here, with the path of the template around it.

        Raises:
            TemplateError: a file is missing, or the template or a parameter is wrong.
        """
        self.path = path
        self._project = project
        self._sources = sources
        self._parents = parents
        self._place = tuple(logical_id for logical_id, _ in parents)
        if path in (parent for _, parent in parents):
            raise TemplateError(f"{path} nests itself.")
        template = read_template_file(path, sources)
        self.not_served: list[str] = []
        self._locations = dict(self._take_applications(template))
        owner = f"{path} (application {'/'.join(self._place)})" if self._place else str(path)
        self.parameters = read_parameters(template, given, owner)
        try:
            self._template = translate_cached(template, self.parameters, f"{path} {self._place}", project)
        except ValueError as error:
            raise TemplateError(f"{path}: {error}") from error
        self._evaluator = Evaluator(self._template, self.parameters, place=self._place, find_output=self._find_output)
        self._applications: dict[str, NestedTemplate | None] = {}

    def read_resources(self) -> Iterator[tuple[str, Resource, str]]:
        """Yield each resource of this template and those below it: logical ID, resource, and what `Ref` gives.

        Raises:
            TemplateError: a value cannot be evaluated, or resources depend on each other in a circle.
        """
        found = []
        try:
            for logical_id, resource in self._template["Resources"].items():
                if "Condition" not in resource or self._evaluator.is_true(resource["Condition"]):
                    properties = self._evaluator.evaluate_resource(logical_id)
                    entry = Resource(resource["Type"], properties)
                    found.append((self._full_id(logical_id), entry, self._evaluator.reference(logical_id)))
            below = [self._find_application(name) for name in self._locations if self._is_created(name)]
        except IntrinsicError as error:
            raise TemplateError(f"{self.path}: {error}") from error
        if circle := self._evaluator.find_circle():
            raise TemplateError(f"{self.path}: resources depend on each other in a circle: {' → '.join(circle)}.")
        yield from found
        for application in below:
            yield from application.read_resources()
            self.not_served += application.not_served

    def _full_id(self, logical_id: str) -> str:
        return "/".join((*self._place, logical_id))

    def _take_applications(self, template: dict[str, Any]) -> Iterator[tuple[str, Path]]:
        """Turn nested applications into CloudFormation's own type, which the translator leaves alone.

        Yields:
            The logical ID and the template of each application that has a local one.
        """
        for logical_id, resource in template["Resources"].items():
            if not isinstance(resource, dict) or resource.get("Type") not in (_SAM_APPLICATION, APPLICATION):
                continue
            properties = resource.get("Properties") or {}
            location = properties.get("Location" if resource["Type"] == _SAM_APPLICATION else "TemplateURL")
            resource["Type"] = APPLICATION
            resource["Properties"] = {"Parameters": properties.get("Parameters") or {}}
            if isinstance(location, str) and "://" not in location:
                yield logical_id, (self.path.parent / location).resolve()
            else:
                name = self._full_id(logical_id)
                self.not_served.append(f"Application {name} is not run: its template is not a local file.")

    def _is_created(self, logical_id: str) -> bool:
        condition = self._template["Resources"][logical_id].get("Condition")
        return condition is None or self._evaluator.is_true(condition)

    def _find_application(self, logical_id: str) -> "NestedTemplate":
        if logical_id not in self._applications:
            self._applications[logical_id] = None
            given = self._evaluator.evaluate_resource(logical_id)["Parameters"]
            self._applications[logical_id] = NestedTemplate(
                self._locations[logical_id],
                {name: write_text(value) for name, value in given.items()},
                self._project,
                self._sources,
                (*self._parents, (logical_id, self.path)),
            )
        application = self._applications[logical_id]
        if application is None:
            raise IntrinsicError(f"the parameters of application {logical_id} depend on its own outputs.")
        return application

    def _find_output(self, logical_id: str, name: str) -> Any:
        if logical_id not in self._locations:
            # Nothing runs that could give the output.
            return f"{logical_id}.Outputs.{name}"
        if not self._is_created(logical_id):
            condition = self._template["Resources"][logical_id]["Condition"]
            raise IntrinsicError(f"application {logical_id} has no outputs, because {condition} is false.")
        return self._find_application(logical_id).read_output(name)

    def read_output(self, name: str) -> Any:
        """Return an output's value.

        Raises:
            IntrinsicError: there is no such output.
            TemplateError: the output cannot be evaluated.
        """
        outputs = self._template.get("Outputs") or {}
        output = outputs.get(name)
        if output is None or ("Condition" in output and not self._evaluator.is_true(output["Condition"])):
            raise IntrinsicError(f"{self.path} has no output {name!r}; it has {', '.join(outputs) or 'none'}.")
        try:
            return self._evaluator.evaluate(output.get("Value"))
        except IntrinsicError as error:
            raise TemplateError(f"{self.path}: output {name}: {error}") from error
