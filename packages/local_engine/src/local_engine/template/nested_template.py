"""A template of a stack's tree: the root, or a nested application with a local template.

A nested application takes values of its parent as parameters, and the parent reads its outputs. So each side evaluates
a value when the other asks for it. CloudFormation does the same with whole resources, and rejects the same circles.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local_engine.template.documents import localize_paths, read_template_file
from local_engine.template.errors import TemplateError, Unresolved
from local_engine.template.intrinsics import APPLICATION, Evaluator
from local_engine.template.language_extensions import expand_template
from local_engine.template.notices import is_supporting
from local_engine.template.parameters import read_parameters
from local_engine.template.sources import Edition
from local_engine.template.stack import Resource
from local_engine.template.translation import translate_cached
from local_engine.template.value_functions import write_text

_SAM_APPLICATION = "AWS::Serverless::Application"
_TRANSFORMS = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions")
_SECTIONS = ("Conditions", "Globals", "Mappings", "Outputs")


class NestedTemplate:
    """A template with values for its parameters, and the templates below it."""

    def __init__(
        self,
        path: Path,
        given: Mapping[str, str],
        project: Path,
        sources: dict[Path, Edition],
        *,
        parents: tuple[tuple[str, Path], ...] = (),
        outer: Evaluator | None = None,
    ) -> None:
        """Read and translate a template.

        Args:
            path: the template's file.
            given: values for its parameters.
            project: the folder of the root template.
            sources: gets each file that is read.
            parents: logical ID of each application that leads here, with the path of the template around it.
            outer: evaluator of the template around it. None for the root.

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
        self.refused: dict[str, str] = {}
        """By full logical ID, a sentence for each part that is left out."""
        self.notices: list[str] = []
        """Sentences on what is not a resource."""
        template = read_template_file(path, sources)
        for section in _SECTIONS:
            if not isinstance(template.get(section) or {}, dict):
                raise TemplateError(f"{path}: {section} is not a mapping.")
        owner = f"{path} (application {'/'.join(self._place)})" if self._place else str(path)
        self.parameters = read_parameters(template, given, owner)
        template = expand_template(template, self.parameters, self.notices)
        self._note_macros(template.get("Transform"))
        self._remove_malformed(template["Resources"])
        self._locations = dict(self._take_applications(template["Resources"]))
        localize_paths(template, path, sources)
        try:
            translation = translate_cached(template, self.parameters, f"{path} {self._place}", project)
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}") from error
        self.refused |= {self._full_id(name): reason for name, reason in translation.refused.items()}
        self._template = translation.template
        self._evaluator = Evaluator(
            self._template, self.parameters, place=self._place, find_output=self._find_output, outer=outer
        )
        self._applications: dict[str, NestedTemplate | None] = {}

    def read_resources(self) -> Iterator[tuple[str, Resource]]:
        """Yield each resource of this template and those below it, by logical ID.

        Raises:
            TemplateError: resources depend on each other in a circle, or a template below is wrong.
        """
        found = []
        below = []
        for logical_id in self._template["Resources"]:
            try:
                if not self._is_created(logical_id):
                    continue
                found.append((self._full_id(logical_id), self._read_resource(logical_id)))
                if found[-1][1].type == APPLICATION:
                    below.append(self._find_application(logical_id))
            except Unresolved as error:
                if not is_supporting(self._template["Resources"][logical_id]["Type"]):
                    self.refused.setdefault(self._full_id(logical_id), str(error))
        if circle := self._evaluator.find_circle():
            raise TemplateError(f"{self.path}: resources depend on each other in a circle: {' → '.join(circle)}.")
        yield from found
        for application in below:
            yield from application.read_resources()
            self.refused |= application.refused
            self.notices += application.notices

    def _read_resource(self, logical_id: str) -> Resource:
        resource = self._template["Resources"][logical_id]
        properties = self._evaluator.evaluate_resource(logical_id)
        name = reference = None
        with contextlib.suppress(Unresolved):
            name = self._evaluator.resource_name(logical_id)
            reference = self._evaluator.reference(logical_id)
        return Resource(resource["Type"], properties, reference, resource.get("Metadata") or {}, name)

    def _full_id(self, logical_id: str) -> str:
        return "/".join((*self._place, logical_id))

    def _note_macros(self, transform: Any) -> None:
        for name in transform if isinstance(transform, list) else [transform]:
            if name is not None and name not in _TRANSFORMS:
                shown = name.get("Name") if isinstance(name, dict) else name
                self.notices.append(f"{self.path}: the macro {shown} is not run, because it is in AWS.")

    def _remove_malformed(self, resources: dict[str, Any]) -> None:
        for logical_id in list(resources):
            match resources[logical_id]:
                case {"Type": str(), "Properties": dict()}:
                    continue
                case {"Type": str()} as resource if resource.get("Properties") is None:
                    resource["Properties"] = {}
                    continue
                case {"Type": str()}:
                    reason = "its Properties are not a mapping."
                case dict() if logical_id == "Fn::Transform":
                    reason = "the local engine has no macros except AWS::Include of a local file."
                case dict():
                    reason = "it has no Type."
                case _:
                    reason = "it is not a mapping with a Type."
            del resources[logical_id]
            self.refused[self._full_id(logical_id)] = reason

    def _take_applications(self, resources: dict[str, Any]) -> Iterator[tuple[str, Path]]:
        """Turn nested applications into CloudFormation's own type, which the translator leaves alone.

        The translator would ask AWS for an application of the repository.

        Yields:
            The logical ID and the template of each application that has a local one.
        """
        for logical_id, resource in resources.items():
            if resource["Type"] not in (_SAM_APPLICATION, APPLICATION):
                continue
            properties = resource["Properties"]
            location = properties.get("Location" if resource["Type"] == _SAM_APPLICATION else "TemplateURL")
            resource["Type"] = APPLICATION
            resource["Properties"] = {"Parameters": properties.get("Parameters") or {}, "TemplateURL": location}
            if isinstance(location, str) and "://" not in location:
                yield logical_id, (self.path.parent / location).resolve()

    def _is_created(self, logical_id: str) -> bool:
        condition = self._template["Resources"][logical_id].get("Condition")
        return condition is None or self._evaluator.is_true(condition)

    def _find_application(self, logical_id: str) -> "NestedTemplate":
        if logical_id not in self._locations:
            location = self._template["Resources"][logical_id]["Properties"].get("TemplateURL")
            if isinstance(location, dict) and "ApplicationId" in location:
                raise Unresolved("it is an application from the Serverless Application Repository.")
            raise Unresolved("its template is not a local file.")
        if logical_id not in self._applications:
            self._applications[logical_id] = None
            given = self._evaluator.evaluate_resource(logical_id)["Parameters"]
            if not isinstance(given, dict):
                raise Unresolved("its Parameters are not a mapping.")
            self._applications[logical_id] = NestedTemplate(
                self._locations[logical_id],
                {name: write_text(value) for name, value in given.items()},
                self._project,
                self._sources,
                parents=(*self._parents, (logical_id, self.path)),
                outer=self._evaluator,
            )
        application = self._applications[logical_id]
        if application is None:
            raise Unresolved(f"the parameters of application {logical_id} depend on its own outputs.")
        return application

    def _find_output(self, logical_id: str, name: str) -> Any:
        if logical_id not in self._locations:
            # Nothing runs that could give the output.
            return f"{logical_id}.Outputs.{name}"
        if not self._is_created(logical_id):
            condition = self._template["Resources"][logical_id]["Condition"]
            raise Unresolved(f"application {logical_id} has no outputs, because {condition} is false.")
        return self._find_application(logical_id).read_output(name)

    def read_output(self, name: str) -> Any:
        """Return an output's value.

        Raises:
            Unresolved: there is no such output, or it cannot be evaluated.
        """
        outputs = self._template.get("Outputs") or {}
        output = outputs.get(name)
        if not isinstance(output, dict) or ("Condition" in output and not self._evaluator.is_true(output["Condition"])):
            raise Unresolved(f"{self.path} has no output {name!r}; it has {', '.join(outputs) or 'none'}.")
        try:
            return self._evaluator.evaluate(output.get("Value"))
        except Unresolved as error:
            raise Unresolved(f"{self.path}: output {name}: {error}") from error
